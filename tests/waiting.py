"""Waiting for what tells nobody: the kernel, another process, a thread. What has an event is awaited instead."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

T = TypeVar("T")


async def until(holds: Callable[[], Any], *, seconds: float = 60) -> None:
    async with asyncio.timeout(seconds):
        while not holds():  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def answered(ask: Callable[[], Awaitable[T]], holds: Callable[[T], Any] = bool, *, what: str = "") -> T:
    """The first answer that is as wanted; `what` is said when none comes."""
    try:
        async with asyncio.timeout(60):
            while not holds(found := await ask()):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            return found
    except TimeoutError:
        raise TimeoutError(what) from None


def until_it_holds(what: str, holds: Callable[[], Any], *, seconds: float = 90) -> None:
    """The same without an event loop; `what` is said of when it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
