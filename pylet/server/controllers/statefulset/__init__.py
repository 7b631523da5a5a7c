"""StatefulSet: numbered pods that keep their names and claims, made, updated and ended in order.

Source: upstream `pkg/controller/statefulset` (stateful_set_control.go, stateful_pod_control.go).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

from pylet.api.errors import ApiError
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Key, Object, dig, is_terminating, key_of, labels_of, uid_of
from pylet.api.podtemplate import available_in, is_finished, is_ready, scaled_value
from pylet.client.view import Entry, View
from pylet.server.controllers.statefulset.identity import (
    REVISION_LABEL,
    claim_keys,
    claims,
    is_member,
    missing_labels,
    ordinal_of,
    ordinals,
    pod_for,
)
from pylet.server.controllers.statefulset.retention import is_contested, is_stale, wanted_owners
from pylet.server.reconcile import revisions
from pylet.server.reconcile.ownership import claim, of_part
from pylet.server.reconcile.plan import (
    NOTHING,
    Action,
    Controller,
    Create,
    Delete,
    Emit,
    Patch,
    Plan,
    Watch,
    its_controller,
    itself,
    patch_status,
    soonest,
)

_HASH_LABEL = "controller.kubernetes.io/hash"
_CONTESTED = (
    "PersistentVolumeClaim {} has a conflicting OwnerReference that acts as a manging controller, "  # so upstream
    "the retention policy is ignored for this claim"
)
_MOST_MADE = 500  # in one round: somebody may ask for two billion


@dataclass(slots=True)
class _Round:
    """One look at a StatefulSet: the pods of its ordinals, those beyond, and the revisions pods are made from."""

    stateful_set: Object
    replicas: dict[int, Object | None]
    condemned: list[Object]  # highest ordinal first
    current: Object
    update: Object
    view: View
    now: datetime

    @property
    def is_monotonic(self) -> bool:
        return bool(self.stateful_set["spec"].get("podManagementPolicy") != "Parallel")

    @property
    def min_ready_seconds(self) -> int:
        return int(self.stateful_set["spec"].get("minReadySeconds", 0))

    @property
    def rolling(self) -> Object:
        """The rolling update's settings; empty without any."""
        return dig(self.stateful_set, "spec", "updateStrategy", "rollingUpdate", default={}) or {}

    @property
    def present(self) -> list[Object]:
        return [*(pod for pod in self.replicas.values() if pod is not None), *self.condemned]

    def is_available(self, pod: Object | None) -> bool:
        return (
            pod is not None
            and not is_terminating(pod)
            and available_in(pod, self.min_ready_seconds, self.now) == timedelta()
        )

    def revision_for(self, ordinal: int) -> Object:
        below = ordinals(self.stateful_set).start + self.rolling.get("partition", 0)
        return self.current if ordinal < below else self.update


def _plan(key: Key, view: View, now: datetime) -> Plan:
    stateful_set = view.get(STATEFUL_SET, key)
    if stateful_set is None:
        return NOTHING
    owned, adoptions = claim(stateful_set, STATEFUL_SET, view, may_adopt=partial(is_member, stateful_set))
    pods = [entry.object for entry in owned]
    if adoptions:
        return Plan(adoptions)
    known = revisions.history(stateful_set, STATEFUL_SET, view, _HASH_LABEL)
    if known.current is None:
        return Plan(known.missing)
    named = dig(stateful_set, "status", "currentRevision")
    current = next((old for old in known.old if old["metadata"]["name"] == named), known.current)
    by_ordinal = {ordinal_of(pod): pod for pod in pods}
    wanted = ordinals(stateful_set)
    look = _Round(
        stateful_set,
        {ordinal: by_ordinal.get(ordinal) for ordinal in wanted[: _reach(by_ordinal, wanted)]},
        [by_ordinal[ordinal] for ordinal in sorted(by_ordinal, reverse=True) if ordinal >= 0 and ordinal not in wanted],
        current,
        known.current,
        view,
        now,
    )
    steps = () if is_terminating(stateful_set) else tuple(_steps(look))
    status, again_after = _status(look)
    return Plan(
        (*patch_status(STATEFUL_SET, stateful_set, status), *steps, *_forget(look, known.old, pods)), again_after
    )


# ---- what to do next


def _steps(look: _Round) -> Iterator[Action]:
    """First all that should be are, then those that should not go, then the outdated are replaced; each in order."""
    for ordinal, pod in look.replicas.items():
        actions, settled = _tend(look, ordinal, pod)
        yield from actions
        if look.is_monotonic and not settled:
            return
    for pod in look.condemned:
        yield from _retain(look, pod, is_condemned=True)
    yield from _condemn(look)
    if look.is_monotonic and look.condemned:
        return
    yield from _replace(look)


def _tend(look: _Round, ordinal: int, pod: Object | None) -> tuple[list[Action], bool]:
    """What the pod of an ordinal needs, and whether the next one may be looked at."""
    if pod is None:
        return list(_create(look, ordinal)), False
    if is_finished(pod):
        return ([] if is_terminating(pod) else [_delete(look, pod)]), False
    actions: list[Action] = []
    if dig(pod, "status", "phase") == "Pending":
        actions += _missing_claims(look, ordinal)
    actions += _retain(look, pod, is_condemned=False)
    if look.is_monotonic and (not look.is_available(pod) or dig(pod, "status", "phase") != "Running"):
        return actions, False
    if labels := missing_labels(pod):
        told = _told(look, "Update", pod["metadata"]["name"])
        actions.append(Patch(POD, key_of(pod), {"metadata": {"labels": labels}}, told=told))
    return actions, True


def _create(look: _Round, ordinal: int) -> Iterator[Action]:
    pod = pod_for(look.stateful_set, ordinal, look.revision_for(ordinal))
    for key in claim_keys(look.stateful_set, ordinal).values():
        there = look.view.get(CLAIM, key)
        if there is None:
            continue
        if is_terminating(there):
            yield from _refused(look, "Create", pod["metadata"]["name"], f"pvc {key.name} is being deleted")
            return  # its end wakes us
        if is_stale(there, {"metadata": {**pod["metadata"], "uid": ""}}, POD):
            return  # it goes with the pod that had this name before
    yield from _missing_claims(look, ordinal)
    name = pod["metadata"]["name"]

    def refused(error: ApiError) -> tuple[Action, ...]:
        return tuple(_refused(look, "Create", name, error.message))

    yield Create(POD, pod, _told(look, "Create", name), refused)


def _missing_claims(look: _Round, ordinal: int) -> Iterator[Action]:
    owner = look.stateful_set["metadata"]["name"]
    for wanted in claims(look.stateful_set, ordinal):
        if look.view.get(CLAIM, key_of(wanted)) is None:
            yield Create(
                CLAIM, wanted, *_claim_told(look.stateful_set, wanted["metadata"]["name"], f"{owner}-{ordinal}")
            )


def _claim_told(stateful_set: Object, claim: str, pod: str) -> tuple[Emit, Callable[[ApiError], tuple[Action, ...]]]:
    """What is told of a claim that was made, and of one that was refused."""
    owner = stateful_set["metadata"]["name"]

    def refused(error: ApiError) -> tuple[Action, ...]:
        words = f"Create Claim {claim} for Pod {pod} in StatefulSet {owner} failed error: {error.message}"
        return (Emit(stateful_set, "FailedCreate", words, "Warning"),)

    words = f"Create Claim {claim} Pod {pod} in StatefulSet {owner} success"
    return Emit(stateful_set, "SuccessfulCreate", words), refused


def _retain(look: _Round, pod: Object, *, is_condemned: bool) -> Iterator[Action]:
    for key in claim_keys(look.stateful_set, ordinal_of(pod)).values():
        there = look.view.get(CLAIM, key)
        if there is None:
            continue
        owners = wanted_owners(there, look.stateful_set, pod, is_condemned=is_condemned)
        if owners is not None:
            if is_contested(there, look.stateful_set, pod):
                yield Emit(look.stateful_set, "ConflictingController", _CONTESTED.format(key.name), "Warning")
            yield Patch(CLAIM, key, {"metadata": {"uid": uid_of(there), "ownerReferences": owners}})


def _condemn(look: _Round) -> Iterator[Action]:
    """End what is beyond the wanted number, the highest first; in order each one waits for all others to be well."""
    present = [*look.replicas.values(), *look.condemned[::-1]]
    first_unwell = next((pod for pod in present if not look.is_available(pod)), None)
    for pod in look.condemned:
        if not look.is_monotonic:
            if not is_terminating(pod):
                yield _delete(look, pod)
            continue
        if not is_terminating(pod) and (look.is_available(pod) or pod is first_unwell):
            yield _delete(look, pod)
        return


def _reach(by_ordinal: Mapping[int, Object], wanted: range) -> int:
    """How many of the wanted ordinals one round looks at: as far as there are pods, and those it may make."""
    return max((wanted.index(ordinal) + 1 for ordinal in by_ordinal if ordinal in wanted), default=0) + _MOST_MADE


def _replace(look: _Round) -> Iterator[Action]:
    """A rolling update takes outdated pods from the highest ordinal down to the partition."""
    if dig(look.stateful_set, "spec", "updateStrategy", "type") == "OnDelete":
        return
    wanted = ordinals(look.stateful_set)
    least = wanted.start + look.rolling.get("partition", 0)
    outdated = [
        pod
        for ordinal, pod in sorted(look.replicas.items(), reverse=True)
        if ordinal >= least and pod is not None and not is_terminating(pod) and not _is_updated(look, pod)
    ]
    if (most := look.rolling.get("maxUnavailable")) is not None:
        unavailable = sum(not look.is_available(pod) for pod in look.replicas.values())
        room = max(1, scaled_value(most, len(wanted), round_up=False)) - unavailable
        yield from (_delete(look, pod) for pod in outdated[: max(0, room)])
        return
    for ordinal in reversed(range(least, wanted.stop)):
        pod = look.replicas.get(ordinal)
        if pod is not None and not is_terminating(pod) and not _is_updated(look, pod):
            yield _delete(look, pod)
            return
        if not look.is_available(pod):
            return


def _is_updated(look: _Round, pod: Object) -> bool:
    return bool(labels_of(pod).get(REVISION_LABEL) == look.update["metadata"]["name"])


def _delete(look: _Round, pod: Object) -> Action:
    name = pod["metadata"]["name"]

    def refused(error: ApiError) -> tuple[Action, ...]:
        return tuple(_refused(look, "Delete", name, error.message))

    return Delete(POD, key_of(pod), uid_of(pod), told=_told(look, "Delete", name), refused=refused)


def _told(look: _Round, verb: str, pod: str) -> Emit:
    words = f"{verb} Pod {pod} in StatefulSet {look.stateful_set['metadata']['name']} successful"
    return Emit(look.stateful_set, f"Successful{verb}", words)


def _refused(look: _Round, verb: str, pod: str, error: str) -> Iterator[Action]:
    words = f"{verb} Pod {pod} in StatefulSet {look.stateful_set['metadata']['name']} failed error: {error}"
    yield Emit(look.stateful_set, f"Failed{verb}", words, "Warning")


# ---- what is


def _status(look: _Round) -> tuple[Object, timedelta | None]:
    spec, pods = look.stateful_set["spec"], look.present
    ready = [pod for pod in pods if dig(pod, "status", "phase") == "Running" and is_ready(pod)]
    waits = [available_in(pod, look.min_ready_seconds, look.now) for pod in ready]
    running = [labels_of(pod).get(REVISION_LABEL) for pod in pods if not is_terminating(pod)]
    current, update = look.current["metadata"]["name"], look.update["metadata"]["name"]
    before = look.stateful_set.get("status") or {}
    status: Object = {
        "observedGeneration": look.stateful_set["metadata"].get("generation", 0),
        "replicas": len(pods),
        "readyReplicas": len(ready),
        "availableReplicas": sum(wait == timedelta() for wait in waits),
        "currentReplicas": running.count(current),
        "updatedReplicas": running.count(update),
        "currentRevision": current,
        "updateRevision": update,
        "collisionCount": before.get("collisionCount", 0),
    }
    wanted = spec.get("replicas", 1)
    is_rolling = dig(spec, "updateStrategy", "type") == "RollingUpdate"
    if is_rolling and wanted == status["updatedReplicas"] == status["readyReplicas"] == status["replicas"]:
        status |= {"currentReplicas": wanted, "currentRevision": update}
    if before.get("conditions"):
        status["conditions"] = before["conditions"]
    return status, soonest(*(wait for wait in waits if wait))


def _forget(look: _Round, old: Iterable[Object], pods: Iterable[Object]) -> tuple[Action, ...]:
    """History beyond the limit, but never what a pod is made from."""
    live = {labels_of(pod).get(REVISION_LABEL) for pod in pods} | {look.current["metadata"]["name"]}
    dead = [revision for revision in old if revision["metadata"]["name"] not in live]
    limit = look.stateful_set["spec"].get("revisionHistoryLimit", 10)
    return revisions.forget(dead[: max(0, len(dead) - limit)]) if limit >= 0 else ()


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    """A claim concerns the set whose name, after its template's, begins it."""
    for candidate in view.table(STATEFUL_SET).in_namespace(entry.key.namespace).values():
        for template in candidate.object["spec"].get("volumeClaimTemplates") or ():
            if entry.key.name.startswith(f"{template['metadata']['name']}-{candidate.key.name}-"):
                yield candidate.key


CONTROLLER = Controller(
    "statefulset",
    (
        Watch(STATEFUL_SET, itself),
        Watch(POD, of_part(STATEFUL_SET)),
        Watch(CLAIM, _of_claim),
        Watch(CONTROLLER_REVISION, its_controller(STATEFUL_SET)),
    ),
    _plan,
)
