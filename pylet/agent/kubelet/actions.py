"""What to do next for one pod: from its spec and what the runtime has, to actions. Pure.

Source: upstream `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, computePodActions and computeInitContainerActions.
The actions of a plan are about different containers and may be carried out at the same time; when one is done
everything is observed and computed again, so a plan need only hold what can be done now.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import takewhile
from typing import TypeAlias

from pylet.agent.kubelet import whole
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.observed import GROUP, Container, Observed
from pylet.agent.kubelet.resize import differing, effective, needs_restart
from pylet.agent.kubelet.restart_all import restarts_so_far, to_reset
from pylet.agent.kubelet.spec import (
    all_containers,
    app_containers,
    container_hash,
    ephemeral_containers,
    full_name,
    init_containers,
    restarts_after,
    restarts_on_failure,
)
from pylet.api import goduration, timestamps
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig
from pylet.api.podtemplate import is_active
from pylet.cri.messages import ContainerState

OUT_OF_TIME = "DeadlineExceeded"


@dataclass(frozen=True, slots=True)
class StartSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StartContainer:
    container: Object
    restarts: int


@dataclass(frozen=True, slots=True)
class StopContainer:
    """`why` is for the Killing event; a probe may bring a grace period of its own.

    Who `begins_anew` is started again however it ends.
    """

    id: str
    name: str
    why: str
    grace_seconds: int | None = None
    begins_anew: bool = False


@dataclass(frozen=True, slots=True)
class StopPod:
    """Stop every container, then the sandbox. `reason` and `message` become the pod's when it failed as a whole."""

    reason: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Reset:
    """Stop and remove all containers, so that the pod begins anew in the sandbox it has."""


@dataclass(frozen=True, slots=True)
class ResizeContainer:
    """Tell the runtime what the running container may have now."""

    id: str
    container: Object


@dataclass(frozen=True, slots=True)
class ResizePod:
    """Limit the pod as a whole as it is granted now, and those `running` in it, by id, that have no limits but its."""

    running: Mapping[str, Object]


Action: TypeAlias = StartSandbox | StartContainer | StopContainer | StopPod | Reset | ResizeContainer | ResizePod


@dataclass(frozen=True, slots=True)
class Actions:
    """`waiting` says by container why it is not started now; look again at `again_at` though nothing happens."""

    actions: tuple[Action, ...] = ()
    waiting: Mapping[str, tuple[str, str]] | None = None
    again_at: datetime | None = None


def compute(pod: Object, observed: Observed, backoff: Backoff, now: datetime) -> Actions:
    if not is_active(pod):
        return stop(observed)
    if (deadline := _deadline(pod)) is not None and deadline <= now:
        return stop(observed, OUT_OF_TIME, "Pod was active on the node longer than the specified deadline")
    if observed.sandbox is None:
        if not _deserves_sandbox(pod, observed):
            return stop(observed)
        if observed.running:
            return Actions((StopPod(),))
        attempt = observed.sandboxes[0].attempt + 1 if observed.sandboxes else 0
        return Actions((StartSandbox(attempt),), again_at=deadline)
    if to_reset(pod, observed):
        return Actions((Reset(),), again_at=deadline)
    steps = _Steps(pod, observed, backoff, now)
    steps.consider_all()
    if steps.is_over:
        return stop(observed)
    return Actions(
        tuple(steps.actions), steps.waiting, min((*steps.again, *([deadline] if deadline else ())), default=None)
    )


def stop(observed: Observed, reason: str = "", message: str = "") -> Actions:
    if observed.running or observed.sandbox is not None or reason:
        return Actions((StopPod(reason, message),))
    return Actions()


def is_held_back(pod: Object, container: Object, busy: Collection[str]) -> bool:
    """Whether one before it with a postStart hook has something under way.

    Upstream starts one after the other, hooks included: who needs a proxy has it wait in its hook until it serves.
    """
    if container in ephemeral_containers(pod):
        return False
    before = takewhile(lambda other: other["name"] != container["name"], all_containers(pod))
    return any(other["name"] in busy and dig(other, "lifecycle", "postStart") for other in before)


def _deserves_sandbox(pod: Object, observed: Observed) -> bool:
    """Whether there is anything left to run in a new sandbox."""
    begun = any(observed.latest(container["name"]) for container in app_containers(pod))
    if observed.sandboxes and observed.containers and pod["spec"].get("restartPolicy") == "Never":
        return False
    if not begun:
        return True
    ended = [(container, observed.latest(container["name"])) for container in app_containers(pod)]
    return any(last is None or _goes_on(pod, container, last, observed) for container, last in ended)


def _goes_on(pod: Object, container: Object, last: Container, observed: Observed) -> bool:
    """Whether another instance follows the one that has ended."""
    return last.id in observed.anew or restarts_after(pod, container, last.exit_code)


class _Steps:
    """Collects what is to be done with each container of a pod that has its sandbox."""

    def __init__(self, pod: Object, observed: Observed, backoff: Backoff, now: datetime) -> None:
        self.pod = pod
        self.observed = observed
        self.backoff = backoff
        self.now = now
        self.actions: list[Action] = []
        self.waiting: dict[str, tuple[str, str]] = {}
        self.again: list[datetime] = []
        self.is_over = False

    def consider_all(self) -> None:
        for container in ephemeral_containers(self.pod):
            if self.observed.latest(container["name"]) is None:
                self.actions.append(StartContainer(container, 0))
        if self._initialize() and not self.is_over:
            kept = [self._keep_going(container) for container in app_containers(self.pod)]
            self.is_over = not any(kept)
        self._resize_pod()

    def _resize_pod(self) -> None:
        if any(isinstance(action, StopContainer) for action in self.actions):
            return  # who begins anew for it has to end first: what the pod has tells what is left to do
        wanted = {"": self.pod["spec"].get("resources") or {}}
        if not any(isinstance(action, ResizeContainer) for action in self.actions):  # with it, its group is
            wanted[GROUP] = whole.resources(self.pod, is_running=True)
        if any(differing(self.observed.enforced.get(of, resources), resources) for of, resources in wanted.items()):
            lasting = (*init_containers(self.pod), *app_containers(self.pod))
            latest = ((container, self.observed.current(container["name"])) for container in lasting)
            running = {last.id: container for container, last in latest if last is not None and last.is_running}
            self.actions.append(ResizePod(running))

    def _initialize(self) -> bool:
        """See to the init containers; whether the app containers may run.

        From the last to the first: what completed may have been removed from the runtime, so the last one that is
        there tells how far initialization has come.
        """
        inits = init_containers(self.pod)
        done = not inits or any(self._is_active(container) for container in app_containers(self.pod))
        passed = done  # whether everything before the container at hand has been initialized
        starts: set[int] = set()
        for index in reversed(range(len(inits))):
            container = inits[index]
            last = self.observed.current(container["name"])
            if last is None:
                if passed and is_sidecar(container):
                    starts.add(index)
                continue
            if passed and not is_sidecar(container):
                continue
            if self._is_initialized(container, last):
                if index == len(inits) - 1:
                    done = True
                elif not passed:
                    starts.add(index + 1)
                if last.is_running:
                    self._check(container, last)
            elif last.is_running:
                self._check(container, last)
            elif last.is_finished and not _goes_on(self.pod, container, last, self.observed):
                self.is_over = True
                return False
            if not last.is_running and (is_sidecar(container) or not self._is_initialized(container, last)):
                starts.add(index)
            passed = True
        if not passed:
            starts.add(0)
        for index in sorted(starts):
            self._start(inits[index])
        return done

    def _is_active(self, container: Object) -> bool:
        last = self.observed.current(container["name"])
        return last is not None and last.state in (ContainerState.CREATED, ContainerState.RUNNING)

    def _is_initialized(self, container: Object, last: Container) -> bool:
        if is_sidecar(container):
            return last.is_running and ("startupProbe" not in container or self.observed.probes(last).started is True)
        return last.is_finished and last.exit_code == 0

    def _keep_going(self, container: Object) -> bool:
        """See to an app container; whether it still has something to do."""
        last = self.observed.latest(container["name"])
        if last is not None and last.is_running:
            return self._check(container, last)
        if last is not None and last.is_finished and not _goes_on(self.pod, container, last, self.observed):
            return False
        self._start(container)
        return True

    def _check(self, container: Object, last: Container) -> bool:
        """Stop a running container that is not as it should be; whether it, or its successor, goes on."""
        name, probed = last.name, self.observed.probes(last)
        goes_on, grace = restarts_on_failure(self.pod, container), None
        if last.hash and last.hash != container_hash(container):
            words, goes_on = f"Container {name} definition changed", True
        elif probed.live is False:
            words = f"Container {name} failed liveness probe"
            grace = dig(container, "livenessProbe", "terminationGracePeriodSeconds")
        elif probed.started is False:
            words = f"Container {name} failed startup probe"
            grace = dig(container, "startupProbe", "terminationGracePeriodSeconds")
        elif needs_restart(container, self._resized(container, last, inherits=True)):
            self.actions.append(StopContainer(last.id, name, f"Container {name} resize requires restart", None, True))
            return True
        else:
            if self._resized(container, last):  # what it inherits is resized with the pod
                self.actions.append(ResizeContainer(last.id, container))
            return True
        words = f"{words}, will be restarted" if goes_on else words
        self.actions.append(StopContainer(last.id, name, words, grace, goes_on))
        return goes_on

    def _resized(self, container: Object, last: Container, *, inherits: bool = False) -> list[str]:
        """Which resources of the running container are not what they should be."""
        enforced, wanted = self.observed.enforced.get(last.id), container.get("resources") or {}
        if enforced is None:
            return []
        if inherits:
            of_pod = self.pod["spec"].get("resources") or {}
            enforced = effective(enforced, self.observed.enforced.get("", of_pod))
            wanted = effective(wanted, of_pod)
        return differing(enforced, wanted)

    def _start(self, container: Object) -> None:
        """Start it, or its next instance once its back-off is over."""
        name = container["name"]
        last = self.observed.latest(name)
        if last is None:
            self.actions.append(StartContainer(container, restarts_so_far(container, self.pod.get("status") or {})))
            return
        key = backoff_key(container)
        until = self.backoff.until(key, last.finished_at or self.now, self.now) if last.is_finished else None
        if until is None:
            self.actions.append(StartContainer(container, last.restarts + 1))
            return
        wait = goduration.shown(self.backoff.wait(key))
        words = f"back-off {wait} restarting failed container={name} pod={full_name(self.pod)}"
        self.waiting[name] = "CrashLoopBackOff", words
        self.again.append(until)


def backoff_key(container: Object) -> str:
    """A container whose definition changed has not failed yet."""
    return f"{container['name']}_{container_hash(container)}"


def _deadline(pod: Object) -> datetime | None:
    seconds, start = pod["spec"].get("activeDeadlineSeconds"), dig(pod, "status", "startTime")
    if seconds is None or start is None:
        return None
    return timestamps.parse(start) + timedelta(seconds=seconds)
