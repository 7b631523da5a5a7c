"""Turns: bounded, what was begun goes first, and a turn nobody waits for any more is not lost."""

from __future__ import annotations

import asyncio

from pylet.agent.kubelet.turns import Turns


async def test_what_was_begun_is_finished_first() -> None:
    turns, order = Turns(1), list[str]()

    async def take(name: str) -> None:
        async with turns.finish() if name.startswith("finish") else turns.begin():
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*(take(name) for name in ("begin 1", "begin 2", "begin 3", "finish 1", "finish 2")))
    assert order == ["begin 1", "finish 1", "finish 2", "begin 2", "begin 3"]


async def test_turns_are_bounded_and_come_back_whoever_gives_up() -> None:
    turns, held, most = Turns(2), 0, 0

    async def take() -> None:
        nonlocal held, most
        async with turns.begin():
            held += 1
            most = max(most, held)
            try:
                await asyncio.sleep(0)
            finally:
                held -= 1

    tasks = [asyncio.create_task(take()) for _ in range(8)]
    await asyncio.sleep(0)
    for gone in tasks[1:4]:  # one that has its turn, two that wait
        gone.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    async with asyncio.timeout(60):
        await asyncio.gather(*(take() for _ in range(4)))
    assert most == 2
