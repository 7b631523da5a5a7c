"""An event loop whose time is virtual: where others wait, it jumps to the next moment something is due.

Everything that waits through asyncio (sleeps, timeouts, `call_later`) passes hours in milliseconds, in exactly the
order of the due times, and the same run gives the same course again. Nothing in it may wait for the real world: no
sockets, no threads.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

T = TypeVar("T")


START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
_MOST_ROUNDS = 50_000  # of the loop at one moment: thousands of writes at once are fine, a loop that feeds itself not


class Stuck(Exception):
    """Everybody waits for somebody and nothing is due; or somebody is busy for ever at the same moment."""


class _Jump(selectors.SelectSelector):
    """Instead of waiting, moves the loop's time."""

    def __init__(self) -> None:
        super().__init__()
        self.elapsed = 0.0
        self._rounds = 0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        found = super().select(0)
        if found:
            return found
        if timeout is None:
            raise Stuck("nothing is due")
        self._rounds = 0 if timeout > 0 else self._rounds + 1
        if self._rounds > _MOST_ROUNDS:
            raise Stuck(f"busy for ever after {self.elapsed:.3f} s")
        self.elapsed += max(timeout, 0.0)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._clock_resolution = 1e-6  # after months a float knows no finer steps, and what is due must be due

    def time(self) -> float:
        return self._jump.elapsed


class LoopClock:
    """The time of day by the running loop's time."""

    def __init__(self, start: datetime = START) -> None:
        self.start = start

    def now(self) -> datetime:
        return self.start + timedelta(seconds=self.monotonic())

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class SetClock(LoopClock):
    """One whose time of day can be set."""

    def set(self, seconds: float) -> None:
        """Forward by so much."""
        self.start += timedelta(seconds=seconds)


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run `main` to its end in virtual time. Raises: Stuck."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
