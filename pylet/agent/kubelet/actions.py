"""What to do next for one pod: from its spec and what the runtime has, to actions. Pure.

Source: upstream `pkg/kubelet/kuberuntime/kuberuntime_manager.go`, computePodActions. Actions are carried out in order;
then everything is observed and computed again, so a plan need only hold what can be done now.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.observed import Container, Observed
from pylet.agent.kubelet.spec import (
    app_containers,
    container_hash,
    init_containers,
    is_sidecar,
    restarts_after,
)
from pylet.api import timestamps
from pylet.api.object import Object, dig, is_terminating
from pylet.cri.messages import ContainerState


@dataclass(frozen=True, slots=True)
class StartSandbox:
    attempt: int


@dataclass(frozen=True, slots=True)
class StartContainer:
    container: Object
    restarts: int


@dataclass(frozen=True, slots=True)
class StopContainer:
    """`why` is for the Killing event; a probe may bring a grace period of its own."""

    id: str
    name: str
    why: str
    grace_seconds: int | None = None


@dataclass(frozen=True, slots=True)
class StopPod:
    """Stop every container, then the sandbox. `reason` and `message` become the pod's when it failed as a whole."""

    reason: str = ""
    message: str = ""


Action: TypeAlias = StartSandbox | StartContainer | StopContainer | StopPod


@dataclass(frozen=True, slots=True)
class Actions:
    """`waiting` says by container why it is not started now; look again at `again_at` though nothing happens."""

    actions: tuple[Action, ...] = ()
    waiting: Mapping[str, tuple[str, str]] | None = None
    again_at: datetime | None = None


NOTHING: Final = Actions()

# What is done with a container, by the state of its newest instance.
TRANSITIONS: Final[Mapping[ContainerState | None, str]] = {
    None: "start",
    ContainerState.CREATED: "replace",  # never got to run: a crash of ours between create and start
    ContainerState.UNKNOWN: "replace",
    ContainerState.RUNNING: "keep",
    ContainerState.EXITED: "restart",
}


def compute(pod: Object, observed: Observed, backoff: Backoff, now: datetime) -> Actions:
    if is_terminating(pod):
        return _stop(observed)
    if (deadline := _deadline(pod)) is not None and deadline <= now:
        return _stop(observed, "DeadlineExceeded", "Pod was active on the node longer than the specified deadline")
    if is_over(pod, observed):
        return _stop(observed)
    if observed.sandbox is None:
        attempt = observed.sandboxes[0].attempt + 1 if observed.sandboxes else 0
        if observed.running:
            return Actions((StopPod(), StartSandbox(attempt)))
        return Actions((StartSandbox(attempt),), again_at=deadline)
    steps = _Steps(pod, observed, backoff, now)
    if steps.initialize():
        for container in app_containers(pod):
            steps.consider(container)
    return Actions(tuple(steps.actions), steps.waiting, _earliest(deadline, *steps.again))


def is_over(pod: Object, observed: Observed) -> bool:
    """Whether every app container ended for good, or an init container failed for good."""
    for container in init_containers(pod):
        last = observed.latest(container["name"])
        failed = last is not None and last.is_finished and last.exit_code != 0
        if failed and not is_sidecar(container) and not restarts_after(pod, container, 1):
            return True
    ended = [observed.latest(container["name"]) for container in app_containers(pod)]
    return all(
        last is not None and last.is_finished and not restarts_after(pod, container, last.exit_code)
        for container, last in zip(app_containers(pod), ended, strict=True)
    )


class _Steps:
    """Collects what is to be done with each container."""

    def __init__(self, pod: Object, observed: Observed, backoff: Backoff, now: datetime) -> None:
        self.pod = pod
        self.observed = observed
        self.backoff = backoff
        self.now = now
        self.actions: list[Action] = []
        self.waiting: dict[str, tuple[str, str]] = {}
        self.again: list[datetime] = []

    def initialize(self) -> bool:
        """See to the init containers, one after the other; whether the app containers may run."""
        begun = any(self.observed.latest(container["name"]) for container in app_containers(self.pod))
        for container in init_containers(self.pod):
            last = self.observed.latest(container["name"])
            if is_sidecar(container):
                self.consider(container)
                if not begun and not (last is not None and last.is_running and self._has_started(container, last)):
                    return False
            elif not begun and not (last is not None and last.is_finished and last.exit_code == 0):
                self.consider(container)
                return False
        return True

    def consider(self, container: Object) -> None:
        last = self.observed.latest(container["name"])
        match TRANSITIONS[last.state if last is not None else None]:
            case "start":
                self.actions.append(StartContainer(container, 0))
            case "replace":
                assert last is not None
                self.actions.append(StartContainer(container, last.restarts + 1))
            case "keep":
                assert last is not None
                self._keep(container, last)
            case "restart":
                assert last is not None
                self._restart(container, last)

    def _keep(self, container: Object, last: Container) -> None:
        name, probed = last.name, self.observed.probes(last)
        if last.hash and last.hash != container_hash(container):
            self.actions.append(StopContainer(last.id, name, f"Container {name} definition changed, will be restarted"))
        elif probed.live is False or probed.started is False:
            kind = "livenessProbe" if probed.live is False else "startupProbe"
            grace = dig(container, kind, "terminationGracePeriodSeconds")
            words = f"Container {name} failed {kind.removesuffix('Probe')} probe"
            end = ", will be restarted" if restarts_after(self.pod, container, 1) else ""
            self.actions.append(StopContainer(last.id, name, words + end, grace))

    def _restart(self, container: Object, last: Container) -> None:
        if not restarts_after(self.pod, container, last.exit_code):
            return
        finished = last.finished_at or self.now
        until = self.backoff.until(container["name"], finished)
        if until is None or until <= self.now:
            self.actions.append(StartContainer(container, last.restarts + 1))
            return
        meta = self.pod["metadata"]
        wait = _go_duration(self.backoff.wait(container["name"]))
        self.waiting[container["name"]] = (
            "CrashLoopBackOff",
            f"back-off {wait} restarting failed container={container['name']} "
            f"pod={meta['name']}_{meta['namespace']}({meta['uid']})",
        )
        self.again.append(until)

    def _has_started(self, container: Object, last: Container) -> bool:
        return "startupProbe" not in container or self.observed.probes(last).started is True


def _stop(observed: Observed, reason: str = "", message: str = "") -> Actions:
    if observed.running or observed.sandbox is not None or reason:
        return Actions((StopPod(reason, message),))
    return NOTHING


def _deadline(pod: Object) -> datetime | None:
    seconds, start = pod["spec"].get("activeDeadlineSeconds"), dig(pod, "status", "startTime")
    if seconds is None or start is None:
        return None
    return timestamps.parse(start) + timedelta(seconds=seconds)


def _earliest(*moments: datetime | None) -> datetime | None:
    return min((moment for moment in moments if moment is not None), default=None)


def _go_duration(wait: timedelta) -> str:
    """As Go prints a duration: 10s, 1m20s, 5m0s."""
    minutes, seconds = divmod(int(wait.total_seconds()), 60)
    return f"{minutes}m{seconds}s" if minutes else f"{seconds}s"
