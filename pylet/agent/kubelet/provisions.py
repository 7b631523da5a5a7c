"""What pods are given of the node beyond a share of it: devices of plugins.

All of it is asked here, and loaded when there is something to give: a node without device plugins has a socket for
them to register at, and nothing else. A pod is given everything when it is admitted, one pod after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from pylet.agent.kubelet.config import Extras
from pylet.agent.kubelet.devices.registration import Registration
from pylet.agent.kubelet.spec import all_containers
from pylet.aio.clock import Clock
from pylet.api import podresources
from pylet.api.object import Object, dig, uid_of
from pylet.api.quantity import NANOS

if TYPE_CHECKING:
    from pylet.agent.kubelet.devices.allocating import Devices

_CHECKPOINT = "kubelet_internal_checkpoint"


class CannotProvide(Exception):
    """A container cannot have what its pod was given; the text says why."""


@dataclass(slots=True)
class Provisions:
    """`run` until cancelled. Who gives pods their life sets `active`, `told` and `changed` before."""

    directory: Path
    clock: Clock
    active: Callable[[], Collection[str]] = tuple
    """Uids of the pods that may hold something."""
    told: Callable[[Collection[str]], None] = lambda _: None
    """Hears of pods the health of whose devices is another."""
    changed: Callable[[], None] = lambda: None
    """There is another number of devices for the Node's status."""
    _loaded: Devices | None = None
    _group: asyncio.TaskGroup | None = None
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def registration(self) -> Registration:
        return Registration(self.directory, self._devices)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as self._group:
            if not self.is_new:
                self._devices()
            await self.registration.run()

    @property
    def is_new(self) -> bool:
        """Whether nothing is known here of what the Node's status says of extended resources."""
        return not (self.directory / _CHECKPOINT).exists()

    # ---- a pod

    async def admit(self, pod: Object) -> tuple[str, str] | None:
        """Give the pod what it asks for; why not, where it cannot be given."""
        if self._loaded is None:
            return None
        from pylet.agent.kubelet.devices.selection import CannotAllocate

        async with self._turn:
            try:
                for container in all_containers(pod):
                    await self._loaded.allocate(pod, container)
            except CannotAllocate as failed:
                return "UnexpectedAdmissionError", f"Allocate failed due to {failed}, which is unexpected"
        return None

    async def extras(self, pod: Object, container: Object) -> Extras:
        """Raises: CannotProvide."""
        if self._loaded is None:
            return Extras()
        from pylet.agent.kubelet.devices.selection import CannotAllocate

        async with self._turn:
            try:
                return await self._loaded.extras(pod, container)
            except CannotAllocate as failed:
                raise CannotProvide(str(failed)) from failed

    def health(self, pod: Object) -> Mapping[str, list[Object]]:
        """`allocatedResourcesStatus` by container."""
        return self._loaded.ledger.health(uid_of(pod)) if self._loaded is not None else {}

    # ---- the Node

    def devices(self) -> Mapping[str, tuple[int, int]]:
        """Capacity and allocatable by resource."""
        return self._loaded.counts() if self._loaded is not None else {}

    def with_room(self, node: Object) -> Object:
        """The Node with at least as much allocatable as is given away: its status may know less, or not yet."""
        if self._loaded is None or not (used := self._loaded.ledger.amounts_in_use()):
            return node
        status = node.get("status") or {}
        room = podresources.amounts(status.get("allocatable"))
        short = {
            name: str(count) for name, count in used.items() if name not in room or room[name].nanos < count * NANOS
        }
        return {**node, "status": {**status, "allocatable": {**dig(status, "allocatable", default={}), **short}}}

    def _devices(self) -> Devices:
        if self._loaded is None:
            from pylet.agent.kubelet.devices.allocating import Devices

            assert self._group is not None
            self._loaded = Devices(self.directory, self.clock, self._group, lambda: self.active(), self._tell)
        return self._loaded

    def _tell(self, pods: Collection[str]) -> None:
        self.told(pods)
        self.changed()
