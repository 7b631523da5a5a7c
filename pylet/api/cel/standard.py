"""The operators and the standard functions: common/stdlib/standard.go of cel-go.

`&&`, `||`, `?:` and `@not_strictly_false` are declared for the checker; the compiler writes their evaluation itself.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.conversions import declare_conversions, show
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Cost, Functions, declare, regex_cost
from pylet.api.cel.re2 import search
from pylet.api.cel.types import Type
from pylet.api.cel.values import (
    SECOND,
    Duration,
    MapList,
    SetList,
    Timestamp,
    UInt,
    compare,
    elements_of,
    equal,
    size_of,
    to_duration,
    to_int,
    to_timestamp,
    to_uint,
    type_name,
)
from pylet.api.remembered import remembered

_FEW = 64  # items; handling fewer is not worth charging more than upstream does


def _never(*_: Any) -> Any:
    raise AssertionError("the compiler evaluates this itself")


def _smaller(one: Any, other: Any) -> int:
    return math.ceil(min(size_of(one), size_of(other)) * 0.1)


def _equality(one: Any, other: Any) -> int:
    """Upstream's cost does not look into what lists hold; comparing large nested ones costs more here."""
    cost = math.ceil(min(size_of(one), size_of(other)) * 0.1)
    if isinstance(one, list | dict) and one is not other:
        nested = elements_of(one) - len(one)
        return cost + nested // 4 if nested > _FEW else cost
    return cost


def _both(one: Any, other: Any) -> int:
    return math.ceil((len(one) + len(other)) * 0.1)


def _divide(one: int, other: int) -> int:
    """Towards zero, as Go divides."""
    if other == 0:
        raise EvaluationError("division by zero")
    quotient = abs(one) // abs(other)
    return quotient if (one < 0) == (other < 0) else -quotient


def _modulo(one: int, other: int) -> int:
    if other == 0:
        raise EvaluationError("modulus by zero")
    return int(math.copysign(1, one)) * (abs(one) % abs(other))


def _divide_doubles(one: float, other: float) -> float:
    if other != 0:
        return one / other
    if one == 0 or one != one or other != other:
        return math.nan
    return math.copysign(math.inf, one) * math.copysign(1, other)


def add_lists(one: list[Any], other: list[Any]) -> list[Any]:
    """Concatenation; the union for lists of type set, and the merge by keys for lists of type map."""
    if isinstance(one, MapList):
        added = {one.key(item): item for item in other}
        merged = [added.pop(one.key(item), item) for item in one]
        return MapList([*merged, *added.values()], one.keys)
    if isinstance(one, SetList):
        seen = {repr(item) for item in one}
        return SetList([*one, *(item for item in other if repr(item) not in seen)])
    return [*one, *other]


def _add_lists_cost(one: list[Any], other: list[Any]) -> int:
    """Upstream links lists and charges 1; here they are copied, which long ones pay for."""
    copied = len(one) + len(other)
    return 1 + copied // 16 if copied > _FEW else 1


def contains(item: Any, items: Any) -> bool:
    """`in` a list."""
    if type(item) is str:
        return item in items
    return any(equal(item, other) for other in items)


def has_key(key: Any, entries: Any) -> bool:
    """`in` a map."""
    if type(key) in (list, dict):
        return False
    return key in entries and (type(key) is not bool or any(entry is key for entry in entries))


def index_list(items: list[Any], index: Any) -> Any:
    if type(index) is float and index.is_integer():
        index = int(index)
    if type(index) not in (int, UInt):
        raise EvaluationError(f"unsupported index type '{type_name(index)}' in list")
    if 0 <= index < len(items):
        return items[index]
    raise EvaluationError(f"index out of bounds: {int(index)}")


def index(container: Any, key: Any) -> Any:
    """`container[key]` of a value whose type only shows now."""
    if isinstance(container, dict):
        return index_map(container, key)
    if isinstance(container, list):
        return index_list(container, key)
    raise EvaluationError(f"no such key: {show(key)}")


def index_map(entries: dict[Any, Any], key: Any) -> Any:
    if not isinstance(key, (list, dict)) and key in entries:
        return entries[key]
    raise EvaluationError(f"no such key: {show(key)}")


def _add_timestamp(one: Timestamp, other: Duration) -> Timestamp:
    return to_timestamp(one.ns + other.ns)


@remembered(256)  # whoever writes an object may name any
def _zone(name: str) -> timezone | Any:
    sign, _, minutes = name.lstrip("+-").partition(":")
    if sign.isdigit() and minutes.isdigit():
        delta = timedelta(hours=int(sign[:2]), minutes=int(minutes[:2]))
        return timezone(-delta if name.startswith("-") else delta)
    from zoneinfo import ZoneInfo

    return ZoneInfo(name) if name not in ("", "UTC") else UTC


def _local(moment: Timestamp, zone: str) -> datetime:
    try:
        return moment.datetime().astimezone(_zone(zone))
    except (ValueError, KeyError, OSError, OverflowError) as bad:
        raise EvaluationError(f"unknown time zone {zone}") from bad


_PARTS: dict[str, Callable[[datetime], int]] = {
    "getFullYear": lambda at: at.year,
    "getMonth": lambda at: at.month - 1,
    "getDayOfYear": lambda at: at.timetuple().tm_yday - 1,
    "getDayOfMonth": lambda at: at.day - 1,
    "getDate": lambda at: at.day,
    "getDayOfWeek": lambda at: at.isoweekday() % 7,
    "getHours": lambda at: at.hour,
    "getMinutes": lambda at: at.minute,
    "getSeconds": lambda at: at.second,
    "getMilliseconds": lambda at: at.microsecond // 1000,
}
_SPANS: dict[str, Callable[[int], int]] = {
    "getHours": lambda ns: _divide(ns, 3600 * SECOND),
    "getMinutes": lambda ns: _divide(ns, 60 * SECOND),
    "getSeconds": lambda ns: _divide(ns, SECOND),
    "getMilliseconds": lambda ns: _divide(ns, 10**6),
}


def _declare_times(functions: Functions) -> None:
    def of_moment(part: Callable[[datetime], int]) -> tuple[Callable[..., int], Callable[..., int]]:
        return lambda moment: part(moment.datetime()), lambda moment, zone: part(_local(moment, zone))

    def of_span(part: Callable[[int], int]) -> Callable[[Duration], int]:
        return lambda span: part(span.ns)

    for name, part in _PARTS.items():
        plain, zoned = of_moment(part)
        declare(functions, f"timestamp -> {name}(): int", plain)
        declare(functions, f"timestamp -> {name}(string): int", zoned)
    for name, span in _SPANS.items():
        declare(functions, f"duration -> {name}(): int", of_span(span))


def _declare_arithmetic(functions: Functions) -> None:
    wrap: dict[str, Callable[[int], int]] = {"int": to_int, "uint": to_uint}

    def whole(compute: Callable[[int, int], int], kind: str) -> Callable[[int, int], int]:
        return lambda one, other: wrap[kind](compute(one, other))

    operators = {"_+_": operator.add, "_-_": operator.sub, "_*_": operator.mul, "_/_": _divide, "_%_": _modulo}
    for name, compute in operators.items():
        for kind in ("int", "uint"):
            declare(functions, f"{name}({kind}, {kind}): {kind}", whole(compute, kind))
    for name, compute in {**operators, "_/_": _divide_doubles}.items():
        if name != "_%_":
            declare(functions, f"{name}(double, double): double", compute)
    declare(functions, "_+_(string, string): string", operator.add, _both)
    declare(functions, "_+_(bytes, bytes): bytes", operator.add, _both)
    declare(functions, "_+_(list(A), list(A)): list(A)", add_lists, _add_lists_cost)
    declare(functions, "_+_(duration, duration): duration", lambda one, other: to_duration(one.ns + other.ns))
    declare(functions, "_+_(timestamp, duration): timestamp", _add_timestamp)
    declare(functions, "_+_(duration, timestamp): timestamp", lambda one, other: _add_timestamp(other, one))
    declare(functions, "_-_(duration, duration): duration", lambda one, other: to_duration(one.ns - other.ns))
    declare(functions, "_-_(timestamp, timestamp): duration", lambda one, other: to_duration(one.ns - other.ns))
    declare(functions, "_-_(timestamp, duration): timestamp", lambda one, other: to_timestamp(one.ns - other.ns))
    declare(functions, "-_(int): int", lambda value: to_int(-value))
    declare(functions, "-_(double): double", operator.neg)


def _declare_comparisons(functions: Functions) -> None:
    declare(functions, "_==_(A, A): bool", equal, _equality)
    declare(functions, "_!=_(A, A): bool", lambda one, other: not equal(one, other), _equality)
    operators = {"_<_": operator.lt, "_<=_": operator.le, "_>_": operator.gt, "_>=_": operator.ge}
    numbers = ("int", "uint", "double")
    pairs = [(kind, kind) for kind in (*numbers, "bool", "string", "bytes", "timestamp", "duration")]
    pairs += [(one, other) for one in numbers for other in numbers if one != other]
    for name, compute in operators.items():
        checked = compare(name, compute)
        for one, other in pairs:
            cost: Cost | None = _smaller if one in ("string", "bytes") else None
            plain = "double" not in (one, other)  # NaN has no order
            declare(functions, f"{name}({one}, {other}): bool", compute if plain else checked, cost)


def _declare_strings(functions: Functions) -> None:
    def affix_cost(text: str, _: str) -> int:
        return math.ceil(len(text) * 0.1)

    def contains_cost(text: str, part: str) -> int:
        return math.ceil(len(text) * 0.1) * math.ceil(len(part) * 0.1)

    for kind in ("string", "bytes", "list(A)", "map(A, B)"):
        declare(functions, f"size({kind}): int", len)
        declare(functions, f"{kind} -> size(): int", len)
    declare(functions, "string -> contains(string): bool", lambda text, part: part in text, contains_cost)
    declare(functions, "string -> startsWith(string): bool", str.startswith, affix_cost)
    declare(functions, "string -> endsWith(string): bool", str.endswith, affix_cost)
    declare(functions, "string -> matches(string): bool", search, regex_cost)
    declare(functions, "matches(string, string): bool", search, regex_cost)


def declare_standard(functions: Functions) -> None:
    for signature in ("_&&_(bool, bool): bool", "_||_(bool, bool): bool", "_?_:_(bool, A, A): A"):
        declare(functions, signature, _never)
    declare(functions, "@not_strictly_false(bool): bool", _never)
    declare(functions, "!_(bool): bool", operator.not_)
    declare(functions, "@in(A, list(A)): bool", contains, lambda _, items: len(items))
    declare(functions, "@in(A, map(A, B)): bool", has_key)
    declare(functions, "_[_](list(A), int): A", index_list)
    declare(functions, "_[_](map(A, B), A): B", index_map)
    _declare_arithmetic(functions)
    _declare_comparisons(functions)
    declare_conversions(functions)
    _declare_strings(functions)
    _declare_times(functions)


def type_constants() -> dict[str, Type]:
    """The names that stand for types, `type(x) == string`."""
    names = ("bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type")
    constants = {name: Type(name) for name in names}
    for name in ("net.IP", "net.CIDR"):
        constants[name] = Type("opaque", (), name)
    constants["optional_type"] = Type("opaque", (), "optional_type")
    constants["google.protobuf.Timestamp"], constants["google.protobuf.Duration"] = t.TIMESTAMP, t.DURATION
    return constants
