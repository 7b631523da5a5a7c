"""What is known of the health of claimed devices, and for how long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from pylet.agent.kubelet.claims import messages as m
from pylet.agent.kubelet.claims.health import Health, Place
from pylet.agent.kubelet.claims.preparing import Claims
from pylet.aio.clock import SystemClock
from pylet.api.object import Object
from pylet.cri.rpc import CallError
from tests.agent.kubelet.claims.test_claims import DRIVER, Socket, container, made, pod
from tests.sim import virtual

PLACE = ("p", "d")


class Driver:
    """Tells what it is given to tell; its stream ends with None."""

    def __init__(self) -> None:
        self.telling: asyncio.Queue[m.HealthAnswer | None] = asyncio.Queue()
        self.asked = 0

    async def stream(self, *_: object) -> AsyncIterator[m.HealthAnswer]:
        self.asked += 1
        while (answer := await self.telling.get()) is not None:
            yield answer

    def tell(self, health: int, message: str = "", seconds: int = 0) -> None:
        self.telling.put_nowait(m.HealthAnswer((m.DeviceHealth(m.DevicePlace(*PLACE), health, 0, seconds, message),)))


def test_words_hold_for_as_long_as_they_say() -> None:
    async def story() -> None:
        told: list[tuple[str, set[Place]]] = []
        changes = asyncio.Event()

        def changed(driver: str, places: Collection[Place]) -> None:
            told.append((driver, set(places)))
            changes.set()

        async def next_change() -> Object:
            await changes.wait()
            changes.clear()
            return health.of(DRIVER, PLACE)

        clock, driver = SystemClock(), Driver()
        health = Health(clock, changed)
        socket: Any = driver
        following = asyncio.create_task(health.follow(DRIVER, socket))
        assert health.of(DRIVER, PLACE) == {"health": "Unknown"}
        driver.tell(1)
        assert await next_change() == {"health": "Healthy"}
        driver.tell(1)
        driver.tell(2, "x" * 2000, seconds=5)
        begin = clock.monotonic()
        found = await next_change()
        assert (found["health"], len(found["message"]), found["message"][-4:]) == ("Unhealthy", 1024, "x...")
        assert await next_change() == {"health": "Unknown"}
        assert clock.monotonic() - begin == pytest.approx(5, abs=0.1)
        driver.tell(1)
        assert await next_change() == {"health": "Healthy"}
        driver.telling.put_nowait(None)
        assert await next_change() == {"health": "Unknown"}, "nobody tells any more"
        driver.tell(1)
        assert await next_change() == {"health": "Healthy"}
        assert driver.asked == 2
        assert told == [(DRIVER, {PLACE})] * 6
        following.cancel()

    virtual.run(story())


async def test_a_driver_without_the_service_is_asked_once() -> None:
    asked = []

    async def stream(path: str, *_: object) -> AsyncIterator[m.HealthAnswer]:
        asked.append(path)
        raise CallError("Unimplemented", "unknown service")
        yield

    socket: Any = SimpleNamespace(stream=stream)
    await asyncio.wait_for(Health(SystemClock()).follow(DRIVER, socket), 60)
    assert len(asked) == 1


@pytest.mark.parametrize(
    ("request_", "expected"),
    [("", "claim:gpu"), ("r", "claim:gpu/r"), ("r/sub", "claim:gpu/r/sub"), ("other", None)],
)
async def test_a_container_tells_of_what_it_has_of_a_claim(tmp_path: Path, request_: str, expected: str | None) -> None:
    claims = made(tmp_path, Socket())
    _know(claims)
    await claims.prepare(pod("a"))
    of = pod("a")
    of["spec"]["containers"] = [container(request_)]
    device = {"resourceID": "example.com/gpu=d", "health": "Unhealthy", "message": "hot"}
    assert claims.health(of) == ({"c": [{"name": expected, "resources": [device]}]} if expected else {})
    assert claims.holders(DRIVER, [PLACE]) == {"a"}
    assert claims.holders(DRIVER, [("p", "e")]) == set()


def _know(claims: Claims) -> None:
    drivers: Any = claims._drivers
    drivers.health = SimpleNamespace(of=lambda driver, place: {"health": "Unhealthy", "message": "hot"})
