"""Times on the wire: RFC 3339 in UTC, whole seconds (`metav1.Time`) or microseconds (`metav1.MicroTime`); spans.

Source: apimachinery pkg/apis/meta/v1/time.go and micro_time.go.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

_MICRO = re.compile(r"\.\d{6}(?!\d)", re.ASCII)
_SECONDS = re.compile(r"\d{4}-(?:0\d|1[0-2])-(?:[0-2]\d|3[01])T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\dZ", re.ASCII)
_ANY = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_LAYOUT = "2006-01-02T15:04:05Z07:00"


def format_time(moment: datetime) -> str:
    """`2026-01-02T03:04:05Z`; fractions of a second are cut off."""
    # Not strftime: its years before 1000 have fewer than four digits.
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def format_micro(moment: datetime) -> str:
    """`2026-01-02T03:04:05.000000Z`."""
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


def parse(text: str) -> datetime:
    """An aware UTC datetime. Raises: ValueError, worded as Go words it."""
    if _SECONDS.fullmatch(text) and text[8:10] < "29":
        return datetime.fromisoformat(text)  # nearly always: 0.5 µs instead of 2
    match = _ANY.fullmatch(text)
    if match is None:
        raise ValueError(_unparsable(text))
    date, clock, fraction, zone = match.groups()
    try:
        moment = datetime.fromisoformat(f"{date}T{clock}.{(fraction or '')[:6]:0<6}+00:00")
    except ValueError as bad:
        raise ValueError(f'parsing time "{text}": {_out_of_range(date, clock)} out of range') from bad
    if zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[4:])
        ahead = timedelta(hours=hours, minutes=minutes)
        moment = moment - ahead if zone[0] == "+" else moment + ahead
    return moment


def canonical(value: Any) -> str:
    """A `metav1.Time` in its one spelling. Raises: ValueError."""
    if value.__class__ is str and _SECONDS.fullmatch(value) and value[8:10] < "29":
        text: str = value
        return text
    return format_time(_parse_json(value))


def canonical_micro(value: Any) -> str:
    """A `metav1.MicroTime` in its one spelling. Raises: ValueError."""
    moment = _parse_json(value)
    rest = value[len("2006-01-02T15:04:05") :]
    if not _MICRO.match(rest):
        element, rest = ("Z07:00", rest[7:]) if rest[1:7].isdecimal() else (".000000", rest)
        layout = "2006-01-02T15:04:05.000000Z07:00"
        raise ValueError(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{element}"')
    return format_micro(moment)


def _parse_json(value: Any) -> datetime:
    if value.__class__ is not str:
        words = {bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
        raise ValueError(f"json: cannot unmarshal {words[type(value)]} into Go value of type string")
    return parse(value)


def _unparsable(text: str) -> str:
    """Go names the layout element it could not match; the first that fails decides."""
    rest = text
    for element, pattern in (
        ("2006", r"\d{4}"),
        ("-", "-"),
        ("01", r"\d\d"),
        ("-", "-"),
        ("02", r"\d\d"),
        ("T", "T"),
        ("15", r"\d\d"),
        (":", ":"),
        ("04", r"\d\d"),
        (":", ":"),
        ("05", r"\d\d(?:[.,]\d+)?"),
        ("Z07:00", r"Z|[+-]\d\d:\d\d"),
    ):
        found = re.match(pattern, rest, re.ASCII)
        if found is None:
            return f'parsing time "{text}" as "{_LAYOUT}": cannot parse "{rest}" as "{element}"'
        rest = rest[found.end() :]
    return f'parsing time "{text}": extra text: "{rest}"'


def _out_of_range(date: str, clock: str) -> str:
    if not 1 <= int(date[5:7]) <= 12:
        return "month"
    for unit, text, bound in (("hour", clock[:2], 24), ("minute", clock[3:5], 60), ("second", clock[6:], 60)):
        if int(text) >= bound:
            return unit
    return "day"
