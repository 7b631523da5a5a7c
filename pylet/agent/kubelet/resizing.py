"""One pod's resize under way: what is granted, what is enforced, and the conditions and events that say so."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from pylet.agent.kubelet import resize, whole
from pylet.agent.kubelet.allocations import Allocations
from pylet.agent.kubelet.observed import GROUP, Observed
from pylet.agent.kubelet.spec import find_container
from pylet.api.object import Object

Tell = Callable[[str, str, str], None]
"""(type, reason, message) of an event about the pod."""
_NONE: Mapping[str, str] = {}
_PENDING, _IN_PROGRESS = "PodResizePending", "PodResizeInProgress"


@dataclass(slots=True)
class Resizing:
    tell: Tell
    allocations: Allocations
    enforced: dict[str, Object] = field(default_factory=dict)
    """By container id, what the runtime was told; the pod's own is under "", what its group has under GROUP."""
    _conditions: dict[str, Object] = field(default_factory=dict)
    _anew: frozenset[str] = frozenset()
    """Names of the containers that the resize under way starts anew."""
    _former: frozenset[str] = frozenset()
    """Ids of those that ran when it was granted."""

    @classmethod
    def of(cls, pod: Object, allocations: Allocations, tell: Tell) -> Resizing:
        """Take up where the status says it was left."""
        status = pod.get("status") or {}
        conditions = {c["type"]: c for c in status.get("conditions") or () if c["type"] in (_PENDING, _IN_PROGRESS)}
        known = (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ()))
        enforced = {
            entry["containerID"].rpartition("/")[2]: entry["resources"]
            for entry in known
            if entry.get("containerID") and entry.get("resources") is not None
        }
        if status.get("resources") is not None:
            enforced[""] = whole.own_part(pod, status["resources"])
            if status.get("phase") == "Running":
                enforced[GROUP] = status["resources"]
        return cls(tell, allocations, enforced, conditions)

    @property
    def conditions(self) -> list[Object]:
        return [self._conditions[type_] for type_ in (_PENDING, _IN_PROGRESS) if type_ in self._conditions]

    @property
    def is_pending(self) -> bool:
        """Whether it is worth asking again when somebody else gave something back."""
        return self._conditions.get(_PENDING, {}).get("reason") == "Deferred"

    def grant(
        self, pod: Object, node: Object, others: Callable[[], Iterable[Object]], policies: Mapping[str, str] = _NONE
    ) -> Object:
        """The admitted pod as it is to run: with what it wants where the node has it, else with what it was granted."""
        granted = self.allocations.allocated(pod)
        if granted is pod:
            self._conditions.pop(_PENDING, None)
            return pod
        generation = pod["metadata"].get("generation", 0)
        refused = resize.immovable(pod, self.allocations.of(pod), policies) or resize.refusal(pod, node, others())
        if refused is not None:
            reason, message = refused
            before = self._conditions.get(_PENDING, {})
            self._conditions[_PENDING] = _condition(_PENDING, generation, reason, message)
            if (before.get("reason"), before.get("observedGeneration")) != (reason, generation):
                words = f"Pod resize {reason}: {_summary(pod, generation, message)}"
                self.tell("Warning", f"Resize{reason}", words)
            return granted
        self._conditions.pop(_PENDING, None)
        self._conditions[_IN_PROGRESS] = _condition(_IN_PROGRESS, generation)
        self._anew, self._former = resize.restarted(pod, self.allocations.of(pod)), frozenset(self.enforced)
        self.allocations.grant(pod)
        self.tell("Normal", "ResizeStarted", f"Pod resize started: {_summary(pod, generation)}")
        return pod

    def follow(self, pod: Object, observed: Observed) -> None:
        """See whether what is enforced has become what was granted; `pod` is as it is to run."""
        running = {container.id: container.name for container in observed.running}
        known = {"", GROUP, *(container.id for group in observed.containers.values() for container in group)}
        self.enforced = {id_: resources for id_, resources in self.enforced.items() if id_ in known}
        for id_, name in running.items():
            if id_ not in self.enforced and (container := find_container(pod, name)) is not None:
                self.enforced[id_] = container.get("resources") or {}
        wanted = {**resize.wanted(pod), GROUP: whole.resources(pod, is_running=True)}
        if running:
            self.enforced = {"": wanted[""], GROUP: wanted[GROUP], **self.enforced}
        if _IN_PROGRESS not in self._conditions:
            return
        of = {**running, "": "", GROUP: GROUP}
        if not self._anew <= {name for id_, name in running.items() if id_ not in self._former}:
            return
        if not any(resize.differing(self.enforced.get(i, wanted[n]), wanted[n]) for i, n in of.items() if n in wanted):
            generation = self._conditions.pop(_IN_PROGRESS).get("observedGeneration", 0)
            self.tell("Normal", "ResizeCompleted", f"Pod resize completed: {_summary(pod, generation)}")

    def failed(self, pod: Object, message: str) -> None:
        generation = pod["metadata"].get("generation", 0)
        self._conditions[_IN_PROGRESS] = _condition(_IN_PROGRESS, generation, "Error", message)


def _condition(type_: str, generation: int, reason: str = "", message: str = "") -> Object:
    found: Object = {"type": type_, "status": "True", "observedGeneration": generation}
    return found | ({"reason": reason} if reason else {}) | ({"message": message} if message else {})


def _summary(pod: Object, generation: int, error: str = "") -> str:
    found: Object = {}
    for field_name in ("initContainers", "containers"):
        if listed := pod["spec"].get(field_name):
            found[field_name] = [{"name": c["name"], "resources": c.get("resources") or {}} for c in listed]
    found["generation"] = generation
    return json.dumps(found | ({"error": error} if error else {}), separators=(",", ":"))
