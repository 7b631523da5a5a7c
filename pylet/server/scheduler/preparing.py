"""What must come true before a pod is bound to its node: volumes given to its claims, devices reserved for it.

What was chosen counts as given from `claim` on, so that nobody else is given it; `forget` ends that.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import ApiError
from pylet.api.object import Object, uid_of
from pylet.client.interface import Client
from pylet.server.scheduler import volumes
from pylet.server.scheduler.acting import Writer
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.snapshot import Snapshot
from pylet.server.scheduler.volumes import Binding

if TYPE_CHECKING:
    from pylet.server.scheduler.devices.claims import Reservation

_SECONDS = 600.0


class Unprepared(Exception):
    """The pod cannot be bound; the message says why."""


@dataclass(frozen=True, slots=True)
class Claimed:
    node: str
    volumes: Binding | None
    devices: Reservation | None


class Preparing:
    def __init__(self, client: Client, writer: Writer, snapshot: Snapshot, clock: Clock) -> None:
        self._client = client
        self._writer = writer
        self._snapshot = snapshot
        self._clock = clock
        self._heard: set[asyncio.Event] = set()

    def look(self) -> None:
        """Something has changed that somebody may wait for."""
        for heard in self._heard:
            heard.set()

    def claim(self, pod: Pending, node: str, *, has_devices: bool) -> Claimed | None:
        """What the pod's claims are given for that node; None when nothing is left to give."""
        found = Claimed(node, self._volumes(pod, node), self._devices(pod, node) if has_devices else None)
        return found if found.volumes is not None or found.devices is not None else None

    async def prepare(
        self, pod: Pending, claimed: Claimed, tell: Callable[[str, str], None], is_wanted: Callable[[], bool]
    ) -> None:
        """`tell` an event's reason and message; `is_wanted` says whether the pod still waits. Raises: Unprepared."""
        try:
            await self._writer.nominate(pod.pod, claimed.node)
            if claimed.volumes is not None:
                await self._bind_volumes(claimed.volumes, is_wanted)
            if claimed.devices is not None:
                await self._reserve(pod, claimed.devices, claimed.node, tell, is_wanted)
        except ApiError as failed:
            raise Unprepared(failed.message) from failed

    def forget(self, claimed: Claimed) -> None:
        if claimed.volumes is not None:
            volumes.forget(claimed.volumes, self._snapshot.assumed)

    async def give_back(self, pod: Pending, claimed: Claimed) -> list[tuple[Object, Object]]:
        """The pod was not bound after all: claims as they would have been, and as they are."""
        if claimed.devices is None:
            return []
        from pylet.server.scheduler.devices.reserving import unreserve

        ledger, released = self._snapshot.device_ledger(), []
        for claim, _ in claimed.devices.claims:
            if (before := ledger.forget(uid_of(claim))) is not None:
                released.append((before, claim))
        await unreserve(self._client, pod, [claim for claim, _ in claimed.devices.claims])
        return released

    # ---- volumes

    def _volumes(self, pod: Pending, node: str) -> Binding | None:
        view, assumed = self._snapshot.view, self._snapshot.assumed
        claims = volumes.claims_of(pod, view)
        if claims is None or not claims.waiting:
            return None
        found = volumes.candidates(claims, view, assumed)
        planned = volumes.plan(claims, found, self._snapshot.nodes[node], view, assumed)
        return volumes.assume(planned, assumed) if isinstance(planned, Binding) else None

    async def _bind_volumes(self, binding: Binding, is_wanted: Callable[[], bool]) -> None:
        """It can take their provisioner minutes."""
        await self._writer.bind_volumes(binding)
        try:
            await self._until(lambda: volumes.is_done(binding, self._snapshot.view), is_wanted)
        except (volumes.Unusable, TimeoutError) as failed:
            raise Unprepared(f"binding volumes: {str(failed) or 'context deadline exceeded'}") from failed

    # ---- devices

    def _devices(self, pod: Pending, node: str) -> Reservation | None:
        from pylet.server.scheduler.devices.claims import assume

        found = assume(pod, self._snapshot.nodes[node], self._snapshot.view, self._snapshot.device_ledger())
        return found if found.claims else None

    async def _reserve(
        self,
        pod: Pending,
        reservation: Reservation,
        node: str,
        tell: Callable[[str, str], None],
        is_wanted: Callable[[], bool],
    ) -> None:
        from pylet.server.scheduler.devices import reserving
        from pylet.server.scheduler.devices.claims import Failed

        now = timestamps.format_time(self._clock.now())
        try:
            if reservation.mappings:
                await self._make(pod, reservation)
            for claim, allocation in reservation.claims:
                await reserving.reserve(self._client, pod, claim, allocation, now)
            if reservation.mappings:
                await reserving.tell(self._client, pod, reservation.claims[-1][0], reservation.mappings)
            if not reservation.is_ready(self._snapshot.view):
                tell("BindingConditionsPending", f"waiting for binding conditions for device on node {node}")
                await self._until(lambda: reservation.is_ready(self._snapshot.view), is_wanted)
        except (Failed, volumes.Unusable) as failed:
            raise Unprepared(f'running PreBind plugin "DynamicResources": {failed}') from failed
        except TimeoutError as failed:
            for claim in reservation.unready(self._snapshot.view):
                await reserving.deallocate(self._client, claim)
            raise Unprepared('running PreBind plugin "DynamicResources": device binding timeout') from failed

    async def _make(self, pod: Pending, reservation: Reservation) -> None:
        """The claim that the pod does not name. What was assumed of it is assumed of the real one. Raises: Failed."""
        from pylet.server.scheduler.devices import reserving

        wanted, allocation = reservation.claims[-1]
        made = await reserving.make(self._client, pod, wanted)
        reservation.claims[-1] = made, allocation
        ledger = self._snapshot.device_ledger()
        ledger.forget(uid_of(wanted))
        ledger.assume({**made, "status": {"allocation": allocation}})

    async def deallocate(self, claim: Object) -> None:
        """Nobody has it, and it keeps a pod from nodes that have other devices."""
        from pylet.server.scheduler.devices.reserving import deallocate

        await deallocate(self._client, claim)

    # ---- waiting

    async def _until(self, is_done: Callable[[], bool], is_wanted: Callable[[], bool]) -> None:
        """Raises: Unusable, TimeoutError, and what `is_done` raises."""
        heard = asyncio.Event()
        self._heard.add(heard)
        try:
            async with asyncio.timeout(_SECONDS):
                while not is_done():
                    heard.clear()
                    await heard.wait()
                    if not is_wanted():
                        raise volumes.Unusable("pod does not exist any more")
        finally:
            self._heard.discard(heard)
