"""When which key is due, decided without waiting, and workers that wait for it."""

from __future__ import annotations

import asyncio

from pylet.aio.clock import VirtualClock
from pylet.aio.workqueue import Schedule, WorkQueue


def test_a_key_that_is_worked_on_again_and_again_takes_one_place() -> None:
    """An hour later something is due; until then the object changes, and each change is looked at."""
    schedule = Schedule[str]()
    for now in range(5000):
        schedule.add("job", float(now))
        assert schedule.take(float(now)) == "job"
        schedule.done("job")
        schedule.add("job", now + 3600.0)
    assert len(schedule) == 1
    assert len(schedule._heap) <= 1100
    assert schedule.take(8598.0) is None
    assert schedule.take(8599.0) == "job"


async def test_workers_that_have_nothing_to_do_leave_no_key_waiting() -> None:
    """Three workers that keep what they take until `let_go`; keys come due while they wait and while they work."""
    clock = VirtualClock()
    queue = WorkQueue[str](clock)
    taken: list[str] = []
    let_go = asyncio.Event()

    async def work() -> None:
        while True:
            async with queue.take() as key:
                taken.append(key)
                await let_go.wait()

    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(3)]
        queue.add("late", 60)
        await clock.advance(1)
        queue.add("soon", 5)  # somebody has to mind this one instead
        queue.add("now")
        await clock.advance(0)
        assert taken == ["now"]
        await clock.advance(5)
        assert taken == ["now", "soon"]
        await clock.advance(60)
        assert taken == ["now", "soon", "late"]
        queue.add("now")  # held: to be taken again when it is let go
        queue.add("another")
        await clock.advance(0)
        assert len(taken) == 3
        let_go.set()
        await clock.advance(0)
        assert sorted(taken[3:]) == ["another", "now"]
        let_go.clear()
        for key in "abc":
            queue.add(key)
        await clock.advance(0)
        assert sorted(taken[5:]) == ["a", "b", "c"]
        for worker in workers:
            worker.cancel()


async def test_who_is_woken_for_a_key_is_one_worker() -> None:
    clock = VirtualClock()
    queue = WorkQueue[int](clock)
    looks = 0

    async def work() -> None:
        while True:
            async with queue.take():
                await asyncio.sleep(0)

    take = queue._schedule.take

    def counted(now: float) -> int | None:
        nonlocal looks
        looks += 1
        return take(now)

    queue._schedule.take = counted  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as group:
        workers = [group.create_task(work()) for _ in range(16)]
        queue.add(-1, 3600)
        await clock.advance(0)
        looks = 0
        for key in range(10):
            queue.add(key)
            await clock.advance(0)
        assert looks == 20, "one that takes the key, and finds no other when it is done"
        for worker in workers:
            worker.cancel()
