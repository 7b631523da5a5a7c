"""CEL's values as Python's: bool, int, float, str, bytes, None, list and dict are themselves; the rest is here.

Equality, order, and the ranges of numbers follow cel-go with the options Kubernetes sets (numbers of different types
compare by value).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from pylet.api import goduration
from pylet.api.cel import types as t
from pylet.api.cel.errors import EvaluationError, no_such_overload

INT_MIN, INT_MAX, UINT_MAX = -(1 << 63), (1 << 63) - 1, (1 << 64) - 1
SECOND = 1_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MIN_TIMESTAMP, MAX_TIMESTAMP = -62135596800 * SECOND, 253402300800 * SECOND - 1


class UInt(int):
    """A `uint`; arithmetic on it happens in `standard`, which wraps the result again."""

    __slots__ = ()


@dataclass(frozen=True, slots=True, order=True)
class Timestamp:
    """Nanoseconds since 1970, UTC; `offset` is the zone it was written in, in seconds, and only shows as text."""

    ns: int
    offset: int = field(default=0, compare=False)

    def datetime(self) -> datetime:
        """Cut to microseconds."""
        return _EPOCH + timedelta(microseconds=self.ns // 1000)

    def __str__(self) -> str:
        whole, fraction = divmod(self.ns, SECOND)
        text = (_EPOCH + timedelta(seconds=whole + self.offset)).replace(tzinfo=None).isoformat()
        zone = "Z"
        if self.offset:
            hours, minutes = divmod(abs(self.offset) // 60, 60)
            zone = f"{'-' if self.offset < 0 else '+'}{hours:02d}:{minutes:02d}"
        return text + (f".{fraction:09d}".rstrip("0") if fraction else "") + zone


@dataclass(frozen=True, slots=True, order=True)
class Duration:
    """Nanoseconds, in the range of an int64."""

    ns: int

    def __str__(self) -> str:
        whole, fraction = divmod(abs(self.ns), SECOND)
        tail = f".{fraction:09d}".rstrip("0") if fraction else ""
        return f"{'-' if self.ns < 0 else ''}{whole}{tail}s"


@dataclass(frozen=True, slots=True)
class Optional:
    """An `optional_type`: `present` is what tells `optional.of(null)` from `optional.none()`."""

    value: Any = None
    present: bool = True


NONE = Optional(present=False)


class SetList(list[Any]):
    """A list of `x-kubernetes-list-type: set`: equal whatever the order, `+` is the union."""

    __slots__ = ()


class MapList(list[Any]):
    """A list of `x-kubernetes-list-type: map`: `+` merges by `keys`, equality ignores the order."""

    __slots__ = ("keys",)

    def __init__(self, items: list[Any], keys: tuple[str, ...]) -> None:
        super().__init__(items)
        self.keys = keys

    def key(self, item: Any) -> tuple[str, ...]:
        return tuple(repr(item.get(key)) if isinstance(item, dict) else "" for key in self.keys)


class Struct(dict[str, Any]):
    """An object built in an expression, `Object.spec{…}`, or one whose schema is known: `name` is its type's."""

    __slots__ = ("name",)

    def __init__(self, name: str, fields: dict[str, Any]) -> None:
        super().__init__(fields)
        self.name = name


_TYPES: dict[type, t.Type] = {
    bool: t.BOOL,
    int: t.INT,
    UInt: t.UINT,
    float: t.DOUBLE,
    str: t.STRING,
    bytes: t.BYTES,
    type(None): t.NULL,
    list: t.Type("list"),
    SetList: t.Type("list"),
    MapList: t.Type("list"),
    dict: t.Type("map"),
    Timestamp: t.TIMESTAMP,
    Duration: t.DURATION,
    t.Type: t.TYPE,
    Optional: t.Type("opaque", (), "optional_type"),
}


def type_of(value: Any) -> t.Type:
    """The run-time type: lists and maps without their parameters."""
    known = _TYPES.get(type(value))
    if known is not None:
        return known
    if isinstance(value, Struct):
        return t.Type("object", (), value.name)
    declared: t.Type = value.CEL_TYPE
    return declared


def type_name(value: Any) -> str:
    return type_of(value).type_name


_COMPARABLE = frozenset({str, int, float, bytes, UInt, Timestamp, Duration, type(None)})


def equal(one: Any, other: Any) -> bool:
    """CEL's `==`, which never fails: values of different types are just not equal."""
    kind, other_kind = type(one), type(other)
    if kind in _COMPARABLE and other_kind in _COMPARABLE:
        if kind is not other_kind and float in (kind, other_kind):
            one, other = _as_doubles(one, other)
        return bool(one == other)
    if kind is bool or other_kind is bool:
        return kind is other_kind and one == other
    if one is other:
        return True
    if isinstance(one, list):
        return isinstance(other, list) and _equal_lists(one, other)
    if isinstance(one, dict):
        if not isinstance(other, dict) or len(one) != len(other):
            return False
        return all(key in other and equal(value, other[key]) for key, value in one.items())
    if kind is Optional and other_kind is Optional:
        return one.present == other.present and equal(one.value, other.value)
    if kind is t.Type and other_kind is t.Type:
        return bool(one.type_name == other.type_name)
    return kind is other_kind and bool(one == other)


def _as_doubles(one: Any, other: Any) -> tuple[Any, Any]:
    """An integer beside a double is rounded to one, as cel-go does, before they are compared."""
    return (float(one) if isinstance(one, int) else one), (float(other) if isinstance(other, int) else other)


def _equal_lists(one: list[Any], other: list[Any]) -> bool:
    if len(one) != len(other):
        return False
    if isinstance(one, MapList) or isinstance(other, MapList):
        keyed = one if isinstance(one, MapList) else other
        assert isinstance(keyed, MapList)
        index = {keyed.key(item): item for item in other}
        return all(keyed.key(item) in index and equal(item, index[keyed.key(item)]) for item in one)
    if isinstance(one, SetList) or isinstance(other, SetList):
        return {repr(item) for item in one} == {repr(item) for item in other}
    return all(map(equal, one, other))


_NUMBERS = frozenset({int, UInt, float})
_ORDERED = frozenset({str, bytes, Timestamp, Duration, bool})


def compare(function: str, operator: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    """`<` and its like over whatever can be ordered."""

    def ordered(one: Any, other: Any) -> bool:
        kind, other_kind = type(one), type(other)
        if kind in _NUMBERS and other_kind in _NUMBERS:
            if one != one or other != other:
                raise EvaluationError("NaN values cannot be ordered")
            if kind is not other_kind and float in (kind, other_kind):
                one, other = _as_doubles(one, other)
            return operator(one, other)
        if kind is other_kind and kind in _ORDERED:
            return operator(one, other)
        raise no_such_overload(function, [type_name(one), type_name(other)])

    return ordered


def to_int(value: int) -> int:
    if INT_MIN <= value <= INT_MAX:
        return value
    raise EvaluationError("integer overflow")


def to_uint(value: int) -> UInt:
    if 0 <= value <= UINT_MAX:
        return UInt(value)
    raise EvaluationError("unsigned integer overflow")


def to_duration(ns: int) -> Duration:
    if INT_MIN <= ns <= INT_MAX:
        return Duration(ns)
    raise EvaluationError("integer overflow")


def to_timestamp(ns: int) -> Timestamp:
    if MIN_TIMESTAMP <= ns <= MAX_TIMESTAMP:
        return Timestamp(ns)
    raise EvaluationError("timestamp overflow")


_RFC3339 = re.compile(r"(\d{4})-(\d\d)-(\d\d)[T](\d\d):(\d\d):(\d\d)(?:[.,](\d+))?(Z|[+-]\d\d:\d\d)", re.ASCII)


def parse_timestamp(text: str) -> Timestamp:
    """RFC 3339 with nanoseconds. Raises: ValueError."""
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError(f"invalid RFC3339 timestamp {text!r}")
    *parts, fraction, zone = match.groups()
    moment = datetime(*map(int, parts), tzinfo=UTC)  # type: ignore[misc, arg-type]
    seconds = (moment - _EPOCH) // timedelta(seconds=1)
    offset = 0
    if zone != "Z":
        hours, minutes = int(zone[1:3]), int(zone[4:])
        if hours > 23 or minutes > 59:
            raise ValueError(f"invalid RFC3339 timestamp {text!r}")
        offset = (hours * 3600 + minutes * 60) * (-1 if zone[0] == "-" else 1)
    return Timestamp((seconds - offset) * SECOND + int((fraction or "0")[:9].ljust(9, "0")), offset)


def parse_duration(text: str) -> Duration:
    """Raises: ValueError."""
    return Duration(goduration.nanoseconds(text))


def format_double(value: float) -> str:
    """Go's `%g`."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    if value == 0:
        return "-0" if math.copysign(1, value) < 0 else "0"
    mantissa, _, exponent = f"{value!r}".partition("e")
    sign = "-" if mantissa.startswith("-") else ""
    whole, _, fraction = mantissa.lstrip("-").partition(".")
    digits = (whole + fraction).lstrip("0")
    power = int(exponent or 0) + (len(whole) - 1 if whole != "0" else -1 - (len(fraction) - len(fraction.lstrip("0"))))
    digits = digits.rstrip("0") or "0"
    if -4 <= power < 6:
        if power >= len(digits) - 1:
            return sign + digits.ljust(power + 1, "0")
        if power < 0:
            return sign + "0." + "0" * (-power - 1) + digits
        return f"{sign}{digits[: power + 1]}.{digits[power + 1 :]}"
    tail = f".{digits[1:]}" if len(digits) > 1 else ""
    return f"{sign}{digits[0]}{tail}e{'-' if power < 0 else '+'}{abs(power):02d}"


def elements_of(value: Any) -> int:
    """How many values a list or map holds, at any depth."""
    count, waiting = 0, [value]
    while waiting:
        container = waiting.pop()
        inner = container.values() if isinstance(container, dict) else container
        count += len(container)
        waiting += [item for item in inner if isinstance(item, list | dict)]
    return count


def size_of(value: Any) -> int:
    """What cost is counted by: a sized value's size, 1 for the others (interpreter/runtimecost.go, actualSize)."""
    if type(value) in (str, bytes, list, dict) or isinstance(value, (list, dict)):
        return len(value)
    if type(value) is Optional and value.present:
        return size_of(value.value)
    return 1
