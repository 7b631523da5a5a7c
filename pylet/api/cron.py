"""When a CronJob's schedule fires: cron's five fields, `@daily` and its like, `@every 1h30m`, in a time zone. Pure.

Behaves as github.com/robfig/cron v3's standard parser, which upstream uses, daylight saving included: what falls into
an hour that the clocks skip doesn't happen that day, what falls into one they repeat happens in both. Nothing here
counts through the times between two others, so a schedule that was missed for years costs no more than one missed once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple, Protocol
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pylet.api import goduration
from pylet.api.causes import quoted
from pylet.api.remembered import remembered

_SECOND = timedelta(seconds=1)
_YEARS_AHEAD = 5
_STAR = 1 << 63
_MONTHS = {
    name: number
    for number, name in enumerate(
        ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1
    )
}
_DAYS = {name: number for number, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}
_BOUNDS: tuple[tuple[int, int, Mapping[str, int]], ...] = (
    (0, 59, {}),
    (0, 23, {}),
    (1, 31, {}),
    (1, 12, _MONTHS),
    (0, 6, _DAYS),
)
_DESCRIPTORS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}


class Schedule(Protocol):
    def next(self, after: datetime) -> datetime | None:
        """The first time after `after`, in UTC; None when there is none within five years (the 31st of February)."""

    def latest(self, after: datetime, now: datetime) -> datetime | None:
        """The last time after `after` and not after `now`."""


class Missed(NamedTuple):
    """The most recent time a schedule fired, and about how often it did since somebody looked."""

    latest: datetime | None
    times: int


def missed(schedule: Schedule, since: datetime, now: datetime) -> Missed:
    """Source: pkg/controller/cronjob/utils.go, mostRecentScheduleTime; the count is as rough as there."""
    first = schedule.next(since)
    if first is None or first > now:
        return Missed(None, 0)
    second = schedule.next(first)
    if second is None or second > now:
        return Missed(first, 1)
    return Missed(schedule.latest(since, now), (now - first) // (second - first) + 1)


@dataclass(frozen=True, slots=True)
class Every:
    """At a fixed distance from the last time."""

    delay: timedelta

    def next(self, after: datetime) -> datetime | None:
        return after.astimezone(UTC).replace(microsecond=0) + self.delay

    def latest(self, after: datetime, now: datetime) -> datetime | None:
        start = after.astimezone(UTC).replace(microsecond=0)
        times = (now - start) // self.delay
        return start + times * self.delay if times > 0 else None


@dataclass(frozen=True, slots=True)
class Fields:
    """The bits of each field say which values it takes; the star bit, that it restricts nothing."""

    minute: int
    hour: int
    day: int
    month: int
    weekday: int
    zone: tzinfo

    def next(self, after: datetime) -> datetime | None:
        time = after.astimezone(self.zone).replace(microsecond=0)
        time = self._later(time, _SECOND)
        if time.second:
            time = self._later(time, timedelta(seconds=60 - time.second))
        last_year = time.year + _YEARS_AHEAD
        while time.year <= last_year:
            later = self._month(time) or self._day(time) or self._hour(time) or self._minute(time)
            if later is None:
                return time.astimezone(UTC)
            time = later
        return None

    def latest(self, after: datetime, now: datetime) -> datetime | None:
        # Everything before the latest time has a next one that isn't after now, nothing since has: so halve.
        def fires(seconds: int) -> datetime | None:
            time = self.next(after + timedelta(seconds=seconds))
            return time if time is not None and time <= now else None

        found = fires(0)
        low, high = 0, int((now - after).total_seconds()) + 1
        while high - low > 1:
            middle = (low + high) // 2
            time = fires(middle)
            if time is None:
                high = middle
            else:
                low, found = middle, time
        return found

    # Each step answers the first moment at which its field may fit, None when it fits already.

    def _month(self, time: datetime) -> datetime | None:
        if self.month >> time.month & 1:
            return None
        year, month = time.year, time.month
        while True:
            year, month = (year + 1, 1) if month == 12 else (year, month + 1)
            if self.month >> month & 1:
                return self._local(year, month, 1)

    def _day(self, time: datetime) -> datetime | None:
        if self._is_day(time):
            return None
        noon = time.replace(hour=12, minute=0, second=0, fold=0)
        while True:
            noon += timedelta(days=1)
            if noon.day == 1 or self._is_day(noon):
                return self._local(noon.year, noon.month, noon.day)

    def _is_day(self, time: datetime) -> bool:
        day = self.day >> time.day & 1
        weekday = self.weekday >> time.isoweekday() % 7 & 1
        if (self.day | self.weekday) & _STAR:
            return bool(day and weekday)
        return bool(day or weekday)

    def _hour(self, time: datetime) -> datetime | None:
        if self.hour >> time.hour & 1:
            return None
        passed = timedelta(minutes=time.minute)
        later = self._later(time, timedelta(hours=1) - passed)
        while not self.hour >> later.hour & 1 and later.hour:
            later = self._later(later, timedelta(hours=1))
        return later

    def _minute(self, time: datetime) -> datetime | None:
        if self.minute >> time.minute & 1:
            return None
        minutes = next((each for each in range(time.minute + 1, 60) if self.minute >> each & 1), 60) - time.minute
        return self._later(time, timedelta(minutes=minutes))

    def _later(self, time: datetime, by: timedelta) -> datetime:
        """By the clock that nobody sets."""
        return (time.astimezone(UTC) + by).astimezone(self.zone)

    def _local(self, year: int, month: int, day: int) -> datetime:
        """The day's first moment; where the clocks skip midnight, the hour that comes instead."""
        return datetime(year, month, day, tzinfo=self.zone).astimezone(UTC).astimezone(self.zone)


def zone(name: str) -> tzinfo:
    """Raises: ValueError, worded as Go's time.LoadLocation."""
    if name in ("", "UTC"):
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as missing:
        raise ValueError(f"unknown time zone {name}") from missing


@remembered(256)
def parse(text: str, time_zone: str = "") -> Schedule:
    """The schedule in a zone, UTC when none is named. Raises: ValueError, worded as upstream."""
    if not text:
        raise ValueError("empty spec string")
    where = zone(time_zone)
    if text.startswith(("TZ=", "CRON_TZ=")):
        prefix, space, text = text.partition(" ")
        if not space:
            raise ValueError("invalid schedule format: runtime error: slice bounds out of range [:-1]")
        name = prefix.partition("=")[2]
        try:
            where = zone(name)
        except ValueError as bad:
            raise ValueError(f"provided bad location {name}: {bad}") from bad
        text = text.strip()
    if text.startswith("@every "):
        return Every(_duration(text))
    if text.startswith("@"):
        if text not in _DESCRIPTORS:
            raise ValueError(f"unrecognized descriptor: {text}")
        text = _DESCRIPTORS[text]
    fields = text.split()
    if len(fields) != len(_BOUNDS):
        raise ValueError(f"expected exactly {len(_BOUNDS)} fields, found {len(fields)}: [{' '.join(fields)}]")
    minute, hour, day, month, weekday = (_field(field, *bounds) for field, bounds in zip(fields, _BOUNDS, strict=True))
    return Fields(minute, hour, day, month, weekday, where)


def _field(field: str, least: int, most: int, names: Mapping[str, int]) -> int:
    bits = 0
    for expression in field.split(","):
        if expression:
            bits |= _range(expression, least, most, names)
    return bits


def _range(expression: str, least: int, most: int, names: Mapping[str, int]) -> int:
    ends, *steps = expression.split("/")
    low, *highs = ends.split("-")
    star = 0
    if low in ("*", "?"):
        start, end, star = least, most, _STAR
    else:
        start = end = _number(low, names)
        if len(highs) > 1:
            raise ValueError(f"too many hyphens: {expression}")
        if highs:
            end = _number(highs[0], names)
    step = 1
    if len(steps) > 1:
        raise ValueError(f"too many slashes: {expression}")
    if steps:
        step = _number(steps[0], {})
        end = end if highs else most
        star = star if step <= 1 else 0
    if start < least:
        raise ValueError(f"beginning of range ({start}) below minimum ({least}): {expression}")
    if end > most:
        raise ValueError(f"end of range ({end}) above maximum ({most}): {expression}")
    if start > end:
        raise ValueError(f"beginning of range ({start}) beyond end of range ({end}): {expression}")
    if not step:
        raise ValueError(f"step of range should be a positive number: {expression}")
    return sum(1 << value for value in range(start, end + 1, step)) | star


def _number(text: str, names: Mapping[str, int]) -> int:
    named = names.get(text.lower())
    if named is not None:
        return named
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        why = f"strconv.Atoi: parsing {quoted(text)}: invalid syntax"
        raise ValueError(f"failed to parse int from {text}: {why}")
    if int(text) < 0:
        raise ValueError(f"negative number ({int(text)}) not allowed: {text}")
    return int(text)


def _duration(text: str) -> timedelta:
    """`@every` and a Go duration; at least a second, and whole ones."""
    try:
        ns = goduration.nanoseconds(text.removeprefix("@every "))
    except ValueError as bad:
        raise ValueError(f"failed to parse duration {text}: {bad}") from bad
    return timedelta(seconds=max(1, ns // 1_000_000_000))
