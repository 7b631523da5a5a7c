"""Optional values, and the map insertion of the two-variable macros: cel-go's cel/library.go and ext/comprehensions.go.

`?.` and `[?]` are evaluated by the compiler; `optional_index` and `optional_select` are what it calls.
"""

from __future__ import annotations

from typing import Any

from pylet.api.cel.conversions import show
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare
from pylet.api.cel.standard import index_list, index_map
from pylet.api.cel.values import MIN_TIMESTAMP, NONE, Duration, Optional, Timestamp, UInt


def _is_zero(value: Any) -> bool:
    if isinstance(value, Duration):
        return value.ns == 0
    if isinstance(value, Timestamp):
        return value.ns == MIN_TIMESTAMP
    return value is None or (isinstance(value, bool | int | float | str | bytes | list | dict | UInt) and not value)


def _value(optional: Optional) -> Any:
    if not optional.present:
        raise EvaluationError("optional.none() dereference")
    return optional.value


def optional_index(container: Any, key: Any) -> Optional:
    """`container[?key]`, where the container may be optional itself."""
    if isinstance(container, Optional):
        if not container.present:
            return NONE
        container = container.value
    if isinstance(container, list):
        if type(key) in (int, UInt, float) and not 0 <= key < len(container):
            return NONE
        return Optional(index_list(container, key))
    if isinstance(container, dict):
        if isinstance(key, (list, dict)) or key not in container:
            return NONE
        return Optional(index_map(container, key))
    return NONE


def _through(optional: Optional, key: Any) -> Optional:
    """`optional[key]`: an index into what it holds, optional again."""
    return optional_index(optional, key)


def _unwrap(items: list[Optional]) -> list[Any]:
    return [item.value for item in items if item.present]


def _insert(entries: dict[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    if key in entries:
        raise EvaluationError(f"insert failed: key {show(key)} already exists")
    entries[key] = value
    return entries


def _insert_all(entries: dict[Any, Any], added: dict[Any, Any]) -> dict[Any, Any]:
    for key, value in added.items():
        _insert(entries, key, value)
    return entries


def declare_library(functions: Functions) -> None:
    declare(functions, "optional.of(V): optional(V)", Optional)
    declare(functions, "optional.none(): optional(V)", lambda: NONE)
    declare(
        functions, "optional.ofNonZeroValue(V): optional(V)", lambda value: NONE if _is_zero(value) else Optional(value)
    )
    declare(functions, "optional(V) -> value(): V", _value)
    declare(functions, "optional(V) -> hasValue(): bool", lambda optional: optional.present)
    declare(functions, "optional(V) -> or(optional(V)): optional(V)", lambda one, other: one if one.present else other)
    declare(functions, "optional(V) -> orValue(V): V", lambda one, other: one.value if one.present else other)
    declare(functions, "_[?_](list(V), int): optional(V)", optional_index)
    declare(functions, "_[?_](optional(list(V)), int): optional(V)", optional_index)
    declare(functions, "_[?_](map(K, V), K): optional(V)", optional_index)
    declare(functions, "_[?_](optional(map(K, V)), K): optional(V)", optional_index)
    declare(functions, "_[_](optional(list(V)), int): optional(V)", _through)
    declare(functions, "_[_](optional(map(K, V)), K): optional(V)", _through)
    declare(functions, "list(T) -> first(): optional(T)", lambda items: Optional(items[0]) if items else NONE)
    declare(functions, "list(T) -> last(): optional(T)", lambda items: Optional(items[-1]) if items else NONE)
    declare(functions, "optional.unwrap(list(optional(V))): list(V)", _unwrap)
    declare(functions, "list(optional(V)) -> unwrapOpt(): list(V)", _unwrap)
    declare(functions, "cel.@mapInsert(map(K, V), K, V): map(K, V)", _insert)
    declare(functions, "cel.@mapInsert(map(K, V), map(K, V)): map(K, V)", _insert_all)
