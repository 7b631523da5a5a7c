"""Which containers of a pod are asked their probes: those that run, from their start to their end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.observed import UNPROBED, Container, Observed, Probed
from pylet.agent.kubelet.probes import Prober, has_probes
from pylet.agent.kubelet.spec import all_containers
from pylet.aio.clock import Clock
from pylet.api.object import Object, dig, is_terminating
from pylet.cri.interface import Runtime

Tell = Callable[[Object, str, str, str], None]
"""(container, type, reason, message) of an event."""


@dataclass(slots=True)
class _Watched:
    prober: Prober
    task: asyncio.Task[None]


@dataclass(slots=True)
class Probing:
    """`changed` hears when an answer changed what is known."""

    runtime: Runtime
    clock: Clock
    tell: Tell
    changed: Callable[[], None]
    _watched: dict[str, _Watched] = field(default_factory=dict)

    def results(self) -> dict[str, Probed]:
        return {id_: watched.prober.result for id_, watched in self._watched.items()}

    def asked(self) -> list[tuple[str, str, str, int]]:
        """Container, probe, result and how often."""
        return [
            (watched.prober.container_name, probe, result, times)
            for watched in self._watched.values()
            for (probe, result), times in watched.prober.asked.items()
        ]

    def follow(self, pod: Object, observed: Observed, ip: str, group: asyncio.TaskGroup) -> None:
        """Ask every running container that has probes; a pod that ends is still asked whether it is ready."""
        specs = {container["name"]: container for container in all_containers(pod) if has_probes(container)}
        running = {container.id: container for container in observed.running if container.name in specs}
        for id_ in [id_ for id_ in self._watched if id_ not in running]:
            self.forget(id_)
        for id_, container in running.items():
            if id_ in self._watched:
                if is_terminating(pod):
                    self.ending(id_)
            elif not is_terminating(pod):
                prober = self._prober(pod, specs[container.name], container, ip)
                self._watched[id_] = _Watched(prober, group.create_task(prober.run()))

    def ending(self, container_id: str) -> None:
        """It is being stopped: what was known of it holds until it has ended."""
        if watched := self._watched.get(container_id):
            watched.prober.stop_killing()

    def forget(self, container_id: str) -> None:
        if watched := self._watched.pop(container_id, None):
            watched.task.cancel()

    def forget_all(self) -> None:
        for id_ in list(self._watched):
            self.forget(id_)

    def _prober(self, pod: Object, spec: Object, container: Container, ip: str) -> Prober:
        return Prober(
            spec,
            Target.of(container.id, ip, spec),
            self.runtime,
            self.clock,
            self.changed,
            lambda reason, message: self.tell(spec, "Warning", reason, message),
            _known(pod, container),
            container.started_at,
        )


def _known(pod: Object, container: Container) -> Probed:
    """After a restart of pylet, what was reported of this instance holds until a probe says otherwise."""
    statuses = (
        *dig(pod, "status", "containerStatuses", default=[]),
        *dig(pod, "status", "initContainerStatuses", default=[]),
    )
    reported = next((s for s in statuses if s.get("containerID") == f"containerd://{container.id}"), None)
    return Probed(started=True) if reported is not None and reported.get("started") else UNPROBED
