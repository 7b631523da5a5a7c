"""Callbacks that leave the loop to others for longer than they hold it themselves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_LONG_SECONDS = 0.0005
_REST = 2  # times what the last one took


class Paced:
    """`loop.call_soon` that puts off what is asked for just after a callback that took long: under a flood callbacks
    come seldom, with more to do each time, and hold no more than a third of the loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds."""
        self._loop = loop
        self._now = now
        self._rested = 0.0

    def __call__(self, callback: Callable[[], None]) -> None:
        wait = self._rested - self._now()
        if wait > 0:
            self._loop.call_later(wait, self._run, callback)
        else:
            self._loop.call_soon(self._run, callback)

    def _run(self, callback: Callable[[], None]) -> None:
        begin = self._now()
        callback()
        end = self._now()
        if end - begin > _LONG_SECONDS:
            self._rested = end + _REST * (end - begin)
