"""Callbacks that leave the loop to others for a while after they held it long."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

_LONG_SECONDS = 0.0005
_REST = 2  # times what the last one took
_MOST_SECONDS = 0.005  # what comes evenly is not to be late


class Paced:
    """`loop.call_soon` that puts off what is asked for just after a callback that took long: under a flood callbacks
    come seldom, with more to do each time."""

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
            self._rested = end + min(_REST * (end - begin), _MOST_SECONDS)
