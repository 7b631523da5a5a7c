"""Keeps running containers on their CPUs, which are others when somebody gets some to itself; those just made, too."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.placement.placing import Placement
from pylet.aio.clock import Clock
from pylet.cri.interface import CriError, Runtime
from pylet.cri.messages import ContainerState, LinuxResources

log = logging.getLogger(__name__)

_SETTLE_SECONDS = 5.0
_RETRY_SECONDS = 1.0


async def keep_pinned(
    runtime: Runtime, clock: Clock, placement: Placement, active: Callable[[], Collection[str]], changed: asyncio.Event
) -> None:
    """Until cancelled. `active` are the uids of pods that may hold CPUs; `changed` is set when others' are theirs."""
    places: dict[str, str] = {}
    while True:
        changed.clear()
        for wait in (0.0, _SETTLE_SECONDS):
            await clock.sleep(wait)
            try:
                places = await _moved(runtime, placement, active(), places)
            except CriError as failed:
                log.warning("container runtime: %s", failed)
                changed.set()
                await clock.sleep(_RETRY_SECONDS)
        await changed.wait()


async def _moved(
    runtime: Runtime, placement: Placement, active: Collection[str], before: dict[str, str]
) -> dict[str, str]:
    """By container, where it runs now. Raises: CriError."""
    places = {}
    for container in await runtime.list_containers():
        uid = container.labels.get(labels.POD_UID, "")
        if container.state is ContainerState.RUNNING and uid in active:
            wanted = placement.cpus_of(uid, container.labels.get(labels.CONTAINER_NAME, ""))
            if wanted and before.get(container.id) != wanted:
                await runtime.update_resources(container.id, LinuxResources(cpuset_cpus=wanted))
            places[container.id] = wanted
    return places
