"""What drivers tell of the health of their devices, and for how long each word of it holds.

Source: upstream `pkg/kubelet/cm/dra/healthinfo.go`, and HandleWatchResourcesStream in its `manager.go`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Collection
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias

from pylet.agent.kubelet.claims import messages as m
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.cri.rpc import CallError

if TYPE_CHECKING:
    from pylet.cri.socket import ServiceSocket

log = logging.getLogger(__name__)

_METHOD = "/v1alpha1.DRAResourceHealth/NodeWatchResources"
_HOLDS_SECONDS = 30.0
_RETRY_SECONDS = 5.0
_LONGEST = 1024
_WORDS = {1: "Healthy", 2: "Unhealthy"}

Place: TypeAlias = tuple[str, str]
"""A device of a driver, by its pool and name."""


@dataclass(frozen=True, slots=True)
class _Told:
    health: str
    message: str
    seconds: float
    at: float

    @property
    def said(self) -> tuple[str, str, float]:
        return self.health, self.message, self.seconds


@dataclass(slots=True)
class Health:
    """`changed` hears of a driver and of those of its devices of which something else is known now."""

    clock: Clock
    changed: Callable[[str, Collection[Place]], None] = lambda driver, places: None
    _known: dict[str, dict[Place, _Told]] = field(default_factory=dict)

    def of(self, driver: str, place: Place) -> Object:
        """As a container's status tells it."""
        told = self._known.get(driver, {}).get(place)
        if told is None:
            return {"health": "Unknown"}
        return {"health": told.health} | ({"message": told.message} if told.message else {})

    async def follow(self, driver: str, socket: ServiceSocket) -> None:
        """Until cancelled; a driver that has no such service is asked no more."""
        while True:
            try:
                await self._listen(driver, socket.stream(_METHOD, m.Nothing(), m.HealthAnswer))
            except CallError as failed:
                if failed.code == "Unimplemented":
                    return
                log.debug("health of devices of %s: %s", driver, failed)
            await self.clock.sleep(_RETRY_SECONDS)

    async def _listen(self, driver: str, answers: AsyncGenerator[m.HealthAnswer]) -> None:
        """What it told is not known any more once it has gone. Raises: CallError."""
        coming = asyncio.create_task(_next(answers))
        try:
            while True:
                await asyncio.wait((coming,), timeout=self._holds(driver))
                if not coming.done():
                    self._forget_old(driver)
                elif (answer := coming.result()) is None:
                    return
                else:
                    self._listed(driver, answer)
                    coming = asyncio.create_task(_next(answers))
        finally:
            coming.cancel()
            await asyncio.wait((coming,))
            await answers.aclose()
            if gone := self._known.pop(driver, None):
                self.changed(driver, gone.keys())

    def _listed(self, driver: str, answer: m.HealthAnswer) -> None:
        now, known = self.clock.monotonic(), self._known.setdefault(driver, {})
        fresh = {(each.device.pool_name, each.device.device_name): _told(each, now) for each in answer.devices}
        changed = [place for place, told in fresh.items() if place not in known or known[place].said != told.said]
        known.update(fresh)
        self._forget_old(driver, changed)

    def _forget_old(self, driver: str, changed: Collection[Place] = ()) -> None:
        now, known = self.clock.monotonic(), self._known.get(driver, {})
        old = [place for place, told in known.items() if now - told.at >= told.seconds]
        for place in old:
            del known[place]
        if old or changed:
            self.changed(driver, {*changed, *old})

    def _holds(self, driver: str) -> float | None:
        """For how many seconds all that is known holds; None is for ever."""
        ends = [told.at + told.seconds for told in self._known.get(driver, {}).values()]
        return max(0.0, min(ends) - self.clock.monotonic()) if ends else None


def _told(found: m.DeviceHealth, now: float) -> _Told:
    message = found.message if len(found.message) <= _LONGEST else f"{found.message[: _LONGEST - 3]}..."
    seconds = float(found.health_check_timeout_seconds)
    return _Told(_WORDS.get(found.health, "Unknown"), message, seconds if seconds > 0 else _HOLDS_SECONDS, now)


async def _next(answers: AsyncGenerator[m.HealthAnswer]) -> m.HealthAnswer | None:
    return await anext(answers, None)
