"""When a pod's worker takes its next turn."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from pylet.agent.kubelet.waking import Waking
from pylet.aio.clock import Clock, VirtualClock

SECOND = timedelta(seconds=1)


def looks(clock: Clock, *, stopping: bool) -> list[float]:
    """When it looks at what exited until its status says so too, in milliseconds after the one before."""
    waking, found = Waking(clock, lambda: stopping), []
    waking.exited("a")
    for _ in range(9):
        waking.begin()
        waking.await_exits({"a", "b"})
        assert waking.again_at is not None
        found.append((waking.again_at - clock.now()) / timedelta(milliseconds=1))
    waking.await_exits({"b"})
    waking.begin()
    waking.await_exits({"a", "b"})
    assert waking.again_at is None
    return found


def test_what_exits_is_looked_at_until_its_status_says_so_and_seldom_while_the_pod_is_stopped() -> None:
    clock = VirtualClock()
    assert looks(clock, stopping=False) == [20, 40, 80, 160, 320, 640, 1000, 1000, 1000]
    assert looks(clock, stopping=True) == [2000, 4000, 8000, 8000, 8000, 8000, 8000, 8000, 8000]


@pytest.mark.parametrize("again", [False, True], ids=["one exit", "two exits"])
async def test_an_exit_while_the_pod_is_stopped_waits_for_the_end_of_the_stop(again: bool) -> None:
    waking = Waking(VirtualClock(), lambda: True)
    waiting = asyncio.create_task(waking.until_next())
    for _ in range(1 + again):
        waking.exited("a")
        for _ in range(5):
            await asyncio.sleep(0)
        assert not waiting.done()
    assert waking.again_at is not None  # it is looked at in a second at the latest
    assert waking.again_at - waking.clock.now() == SECOND
    waking.wake()
    await asyncio.wait_for(waiting, 60)


async def test_what_has_happened_beside_an_exit_is_not_put_off() -> None:
    waking = Waking(VirtualClock(), lambda: True)
    waking.exited("a")
    waking.wake()
    waking.exited("b")
    await asyncio.wait_for(waking.until_next(), 60)


async def test_an_exit_of_a_pod_that_goes_on_is_looked_at_at_once() -> None:
    waking = Waking(VirtualClock(), lambda: False)
    waking.exited("a")
    await asyncio.wait_for(waking.until_next(), 60)
