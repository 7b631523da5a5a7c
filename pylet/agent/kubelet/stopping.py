"""Stop containers as their pod asked: preStop hook, stop signal, grace period, sidecars last and in reverse order.

Source: upstream `pkg/kubelet/kuberuntime/kuberuntime_container.go` (killContainer, setTerminationGracePeriod) and
`kuberuntime_termination_order.go`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

from pylet.agent.kubelet import handlers
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.spec import app_containers, find_container, init_containers
from pylet.agent.kubelet.turns import PEAK, Turns
from pylet.aio.clock import Clock
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig, uid_of
from pylet.cri.interface import CriError, Runtime

DEFAULT_GRACE_SECONDS = 30
_LEAST_GRACE_SECONDS = 2
Tell = Callable[[Object, str, str, str], None]


class NotStopped(CriError):
    """Something of a pod did not end: the text says what and why, as upstream's event does."""


@dataclass(frozen=True, slots=True)
class Ending:
    """Why the node makes a pod fail, as the pod's status says it; it ends within `grace_seconds` or its own time.

    `disruption` is what the pod's condition DisruptionTarget says.
    """

    reason: str
    message: str
    grace_seconds: int | None = None
    disruption: str = ""


def grace_seconds(pod: Object) -> int:
    """What a container of the pod is given to end: the deletion's own period, else the spec's."""
    asked = pod["metadata"].get("deletionGracePeriodSeconds")
    if asked is None:
        asked = pod["spec"].get("terminationGracePeriodSeconds", DEFAULT_GRACE_SECONDS)
    return int(asked)


@dataclass(frozen=True, slots=True)
class Stopper:
    runtime: Runtime
    clock: Clock
    tell: Tell
    ends: Turns = field(default_factory=lambda: Turns(PEAK))

    async def stop(
        self, pod: Object, target: Target, name: str, why: str, grace: int, turn: _Turn | None = None
    ) -> None:
        """Stop one running container; with `turn` it waits, within its grace, for those that must end before it."""
        container = find_container(pod, name) or {"name": name}
        self.tell(container, "Normal", "Killing", why)
        begin = self.clock.monotonic()
        async with self._hooked(container, target, grace):
            if turn is not None:
                await turn.wait(name, grace - int(self.clock.monotonic() - begin))
            left = grace - int(self.clock.monotonic() - begin)
            await self.runtime.stop_container(target.container_id, grace_seconds=max(_LEAST_GRACE_SECONDS, left))
        if turn is not None:
            turn.ended(name)

    @asynccontextmanager
    async def _hooked(self, container: Object, target: Target, grace: int) -> AsyncIterator[None]:
        """Its preStop hook has ended, or its time; a hook that goes on may do so for as long as the container."""
        hook = dig(container, "lifecycle", "preStop")
        if hook is None or grace <= 0:
            yield
            return
        running = asyncio.create_task(handlers.run(hook, target, self.runtime, seconds=None, is_hook=True))
        try:
            await asyncio.wait([running], timeout=grace)
            if running.done() and not running.result().ok:
                self.tell(container, "Warning", "FailedPreStopHook", "PreStopHook failed")
            elif running.done() and (warning := running.result().message):
                self.tell(container, "Warning", handlers.FELL_BACK, warning)
            yield
        finally:
            running.cancel()
            await asyncio.wait([running])

    async def stop_pod(self, pod: Object, observed: Observed, ip: str, grace: int) -> None:
        """Every container at once, each in its turn, then the sandboxes, which end what is left. Raises: NotStopped."""
        failures: list[str] = []

        async def attempt(action: str, target: str, work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except CriError as failed:
                words = json.dumps(str(failed), ensure_ascii=False)
                failures.append(f'failed to "{action}" for "{target}" with {action}Error: {words}')

        turn = _Turn(pod, [container.name for container in observed.running])
        async with asyncio.TaskGroup() as group:
            for container in observed.running:
                spec = find_container(pod, container.name) or {}
                target = Target.of(container.id, ip, spec)
                words = f"Stopping container {container.name}"
                stop = partial(self.stop, pod, target, container.name, words, grace, turn)
                group.create_task(attempt("KillContainer", container.name, stop))
        for sandbox in observed.sandboxes:
            async with self.ends.begin():
                await attempt("KillPodSandbox", uid_of(pod), partial(self.runtime.stop_sandbox, sandbox.id))
        if failures:
            what = failures[0] if len(failures) == 1 else f"[{', '.join(failures)}]"
            raise NotStopped(f"error killing pod: {what}")


class _Turn:
    """Who waits for whom: a sidecar for every app container and for the sidecars after it."""

    def __init__(self, pod: Object, running: Iterable[str]) -> None:
        self._ended = {name: asyncio.Event() for name in running}
        apps = [container["name"] for container in app_containers(pod)]
        sidecars = [container["name"] for container in init_containers(pod) if is_sidecar(container)]
        self._before = {name: [*apps, *sidecars[index + 1 :]] for index, name in enumerate(sidecars)}

    async def wait(self, name: str, seconds: float) -> None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                for other in self._before.get(name, ()):
                    if other in self._ended:
                        await self._ended[other].wait()
        except TimeoutError:
            return

    def ended(self, name: str) -> None:
        self._ended[name].set()
