"""A token bucket: so many at once, and so many a second."""

from __future__ import annotations

from collections.abc import Callable


class Bucket:
    def __init__(self, per_second: float, at_once: int, now: Callable[[], float]) -> None:
        """Full at first. `now` is in seconds, and never goes back."""
        self._per_second, self._at_once, self._now = per_second, at_once, now
        self._tokens, self._filled = float(at_once), now()

    def take(self) -> bool:
        """Whether one was left."""
        now = self._now()
        self._tokens = min(self._at_once, self._tokens + (now - self._filled) * self._per_second)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
