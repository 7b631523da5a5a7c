"""How long to wait before trying again what failed: twice as long each time, forgotten after a while of success."""

from __future__ import annotations

from collections.abc import Hashable
from datetime import datetime, timedelta


class Backoff:
    """`next` notes a try; `wait` tells what is left until another may follow.

    The only thing a plan may remember between two looks: it loses nothing but patience when a server restarts.
    Source: upstream `client-go/util/flowcontrol/backoff.go`.
    """

    def __init__(self, first: timedelta, longest: timedelta) -> None:
        self._first = first
        self._longest = longest
        self._tries: dict[Hashable, tuple[datetime, timedelta]] = {}  # last try, and the wait it calls for

    def wait(self, key: Hashable, now: datetime) -> timedelta:
        if (known := self._tries.get(key)) is None:
            return timedelta()
        at, delay = known
        return max(timedelta(), at + delay - now)

    def next(self, key: Hashable, now: datetime) -> None:
        for old in [old for old, (at, _) in self._tries.items() if now - at > 2 * self._longest]:
            del self._tries[old]
        known = self._tries.pop(key, None)
        delay = min(known[1] * 2, self._longest) if known is not None else self._first
        self._tries[key] = now, delay
