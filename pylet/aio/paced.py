"""A callback that leaves the loop to others for a while after it held it long."""

from __future__ import annotations

import time
from collections.abc import Callable

_LONG_SECONDS = 0.0005
_REST = 2  # times what the last one took
_MOST_SECONDS = 0.005  # what comes evenly is not to be late

Later = Callable[[float, Callable[[], None]], object]
"""`loop.call_later`."""


class Paced:
    """Runs when called; after it took long, when it has rested: under a flood it runs seldom, with more to do each
    time."""

    __slots__ = ("_callback", "_is_due", "_later", "_now", "_rested")

    def __init__(self, later: Later, callback: Callable[[], None], now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds."""
        self._later = later
        self._callback = callback
        self._now = now
        self._rested = 0.0
        self._is_due = False

    def __call__(self) -> None:
        if self._is_due:
            return
        wait = self._rested - self._now()
        if wait > 0:
            self._is_due = True
            self._later(wait, self._run)
        else:
            self._run()

    def _run(self) -> None:
        self._is_due = False
        begin = self._now()
        self._callback()
        end = self._now()
        if end - begin > _LONG_SECONDS:
            self._rested = end + min(_REST * (end - begin), _MOST_SECONDS)
