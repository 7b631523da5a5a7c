"""Durations as Go reads and writes them: `1m30s`. Pure. Source: Go `time/format.go` (ParseDuration), `time/time.go`."""

from __future__ import annotations

import re
from datetime import timedelta

from pylet.api.causes import quoted

_UNITS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
}
_PART = re.compile(r"(?P<whole>[0-9]*)(?:\.(?P<fraction>[0-9]*))?(?P<unit>[^0-9.]*)")
_MOST_DIGITS = 19  # of what Go's int64 can hold
_MOST_NS = 1 << 63


def nanoseconds(text: str) -> int:
    """Raises: ValueError, in Go's words."""
    body = text[1:] if text[:1] in ("-", "+") else text
    if body == "0":
        return 0
    total, at = 0, 0
    while at < len(body) or not body:
        found = _PART.match(body, at)
        assert found is not None
        whole, fraction, unit = found["whole"].lstrip("0"), (found["fraction"] or "")[:_MOST_DIGITS], found["unit"]
        if not (found["whole"] or found["fraction"]) or len(whole) > _MOST_DIGITS:
            raise _bad("invalid duration", text)
        if not unit:
            raise _bad("missing unit in duration", text)
        if unit not in _UNITS:
            raise _bad(f"unknown unit {quoted(unit)} in duration", text)
        total += int(whole or 0) * _UNITS[unit] + int(fraction or 0) * _UNITS[unit] // 10 ** len(fraction)
        at = found.end()
    ns = -total if text.startswith("-") else total
    if not -_MOST_NS <= ns < _MOST_NS:
        raise _bad("invalid duration", text)
    return ns


def parse(text: str) -> timedelta:
    """To the microsecond. Raises: ValueError, in Go's words."""
    return timedelta(microseconds=nanoseconds(text) / 1000)


def _bad(why: str, text: str) -> ValueError:
    return ValueError(f"time: {why} {quoted(text)}")


def shown(span: timedelta) -> str:
    """As Go prints it: 1m20s, 1h0m0s, 100ms, -3µs."""
    micros = abs(span) // timedelta(microseconds=1)
    sign = "-" if span < timedelta() else ""
    if 0 < micros < 1_000_000:
        unit, size = ("ms", 1000) if micros >= 1000 else ("µs", 1)
        return f"{sign}{micros / size:g}{unit}"
    minutes, rest = divmod(micros, 60_000_000)
    hours, rest_minutes = divmod(minutes, 60)
    text = f"{rest // 1_000_000}" + f".{rest % 1_000_000:06d}".rstrip("0").rstrip(".")
    return f"{sign}{f'{hours}h' if hours else ''}{f'{rest_minutes}m' if minutes else ''}{text}s"
