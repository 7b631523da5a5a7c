"""When which key is due, decided without waiting; and that somebody comes for it."""

from __future__ import annotations

import asyncio
import random

import pytest

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


@pytest.mark.parametrize("seed", range(50))
async def test_somebody_comes_for_a_key_when_it_is_due(seed: int) -> None:
    """In whatever order keys are added, retried and hastened: with a worker for each, none waits but for itself."""
    chance, clock = random.Random(seed), VirtualClock()
    queue, keys = WorkQueue[int](clock), range(3)
    ended = dict.fromkeys(keys, 0.0)

    async def work() -> None:
        while True:
            async with queue.take() as key:
                due, taken = queue.running[key]
                assert taken == pytest.approx(max(due, ended[key]))
                await clock.sleep(chance.choice([0.0, 0.0, 0.5, 1.0, 3.0]))
                if chance.random() < 0.2:
                    queue.retry(key)
                if chance.random() < 0.2:
                    queue.add(chance.choice(keys), chance.choice([0.0, 0.5, 2.0]))
                ended[key] = clock.monotonic()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(work()) for _ in keys]
        for _ in range(100):
            for _ in range(chance.randrange(4)):
                queue.add(chance.choice(keys), chance.choice([0.0, 0.3, 1.0, 5.0]))
                for _ in range(chance.randrange(3)):
                    await asyncio.sleep(0)
            if chance.random() < 0.1:
                queue.hasten()
            await clock.advance(chance.choice([0.0, 0.1, 1.0, 4.0]), settle_ticks=60)
        for task in tasks:
            task.cancel()
