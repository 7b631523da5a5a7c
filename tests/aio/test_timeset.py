"""The time of day is set while somebody waits."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pylet.aio import timeset
from pylet.aio.workqueue import Schedule
from tests.sim.virtual import SetClock, run


@pytest.mark.parametrize(
    ("seconds", "seen"),
    [
        pytest.param(56 * 365 * 86400.0, True, id="NTP answers for the first time"),
        pytest.param(-86400.0, True, id="back by a day"),
        pytest.param(-40.0, True, id="back by less than a minute"),
        pytest.param(5.0, False, id="a correction"),
        pytest.param(0.0, False, id="nothing"),
    ],
)
def test_a_sleeper_is_woken_when_the_time_of_day_is_set(seconds: float, seen: bool) -> None:
    async def scenario() -> None:
        clock = SetClock()
        sleeper = asyncio.create_task(timeset.sleep(clock, 3600))
        await asyncio.sleep(100)
        clock.set(seconds)
        moved = await sleeper
        assert bool(moved) is seen
        assert clock.monotonic() == pytest.approx(110 if seen else 3600, abs=10)
        if seen:
            assert abs(moved - timedelta(seconds=seconds)) < timedelta(seconds=1)

    run(scenario())


def test_slewing_is_never_a_step() -> None:
    async def scenario() -> None:
        clock = SetClock()
        sleeper = asyncio.create_task(timeset.sleep(clock, 86400))
        while not sleeper.done():
            clock.set(0.005)
            await asyncio.sleep(10)
        assert await sleeper == timedelta()

    run(scenario())


def test_whatever_waits_can_be_made_due() -> None:
    schedule = Schedule[str]()
    schedule.add("nightly", 86400.0)
    schedule.retry("failed", 0.0)
    schedule.hasten(10.0)
    assert {schedule.take(10.0), schedule.take(10.0), schedule.take(10.0)} == {"nightly", "failed", None}
