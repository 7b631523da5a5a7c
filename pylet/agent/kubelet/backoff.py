"""How long to wait before trying again what failed: 10 s doubling to 5 min, forgotten after 10 min without failure.

Source: upstream `client-go/util/flowcontrol/backoff.go` as the kubelet uses it, for containers and for images alike.
"""

from __future__ import annotations

from datetime import datetime, timedelta

_FIRST = timedelta(seconds=10)
LONGEST = timedelta(minutes=5)


def is_ahead(moment: datetime, now: datetime, most: timedelta = LONGEST) -> bool:
    """Whether it is yet to come; what is further ahead than `most` was said before the clock was put back."""
    return now < moment <= now + most


class Backoff:
    """Keys are whatever fails: (container, hash), an image."""

    def __init__(self, longest: timedelta = LONGEST) -> None:
        self._longest = longest
        self._waits: dict[str, tuple[timedelta, datetime]] = {}

    def until(self, key: str, failed_at: datetime, now: datetime) -> datetime | None:
        """When `key`, which failed at `failed_at`, may be tried again; None for now."""
        known = self._waits.get(key)
        if known is None or failed_at - known[1] > 2 * self._longest:
            return None
        again_at = failed_at + known[0]
        return again_at if is_ahead(again_at, now, self._longest) else None

    def wait(self, key: str) -> timedelta:
        return self._waits[key][0] if key in self._waits else timedelta()

    def failed(self, key: str, failed_at: datetime, now: datetime) -> None:
        """`key`, which failed at `failed_at`, is tried again: the next failure waits longer."""
        known = self._waits.get(key)
        if known is None or failed_at - known[1] > 2 * self._longest:
            self._waits[key] = min(_FIRST, self._longest), now
        else:
            self._waits[key] = min(known[0] * 2, self._longest), now

    def forget(self, key: str) -> None:
        self._waits.pop(key, None)
