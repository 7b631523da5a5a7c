"""Lists and sets: Kubernetes' library/lists.go, and cel-go's ext/lists.go (version 3) and ext/sets.go."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare
from pylet.api.cel.standard import contains
from pylet.api.cel.values import compare, equal, to_duration, to_int, to_uint, type_of

_COMPARABLE = ("int", "uint", "double", "bool", "duration", "timestamp", "string", "bytes")
_less = compare("_<_", operator.lt)


def traversal(value: Any) -> int:
    """library/cost.go, traversalCost."""
    if type(value) in (str, bytes):
        return int(len(value) * 0.1)
    if isinstance(value, list):
        return sum(map(traversal, value))
    if isinstance(value, dict):
        return sum(traversal(key) + traversal(item) for key, item in value.items())
    return 1


def _cost(items: list[Any], *_: Any) -> int:
    return traversal(items)


def _is_sorted(items: list[Any]) -> bool:
    return not any(_less(items[at + 1], items[at]) for at in range(len(items) - 1))


def _extreme(name: str, better: Callable[[Any, Any], bool]) -> Callable[[list[Any]], Any]:
    def run(items: list[Any]) -> Any:
        if not items:
            raise EvaluationError(f"{name} called on empty list")
        best = items[0]
        for item in items[1:]:
            if better(item, best):
                best = item
        return best

    return run


_SUMS: dict[str, Callable[[list[Any]], Any]] = {
    "int": lambda items: to_int(sum(items)),
    "uint": lambda items: to_uint(sum(items)),
    "double": lambda items: float(sum(items)),
    "duration": lambda items: to_duration(sum(item.ns for item in items)),
}


def _index_of(items: list[Any], wanted: Any) -> int:
    return next((at for at, item in enumerate(items) if equal(item, wanted)), -1)


def _last_index_of(items: list[Any], wanted: Any) -> int:
    return next((at for at in range(len(items) - 1, -1, -1) if equal(items[at], wanted)), -1)


def _slice(items: list[Any], start: int, end: int) -> list[Any]:
    wrong = None
    if start < 0 or end < 0:
        wrong = "negative indexes not supported"
    elif start > end:
        wrong = "start index must be less than or equal to end index"
    elif end > len(items):
        wrong = f"list is length {len(items)}"
    if wrong:
        raise EvaluationError(f"cannot slice({start}, {end}), {wrong}")
    return items[start:end]


def _flatten(items: list[Any], depth: int = 1) -> list[Any]:
    if depth < 0:
        raise EvaluationError("level must be non-negative")
    flat: list[Any] = []
    for item in items:
        if isinstance(item, list) and depth > 0:
            flat += _flatten(item, depth - 1)
        else:
            flat.append(item)
    return flat


def _flatten_cost(items: list[Any], depth: int = 1) -> int:
    """Upstream's, and what the nested lists hold beyond it, which it does not count."""

    def size(nested: list[Any], left: int) -> int:
        return sum(size(item, left - 1) if isinstance(item, list) and left > 0 else 1 for item in nested)

    return max(len(items) * depth, size(items, depth) // 16) + 11


def _sort(items: list[Any]) -> list[Any]:
    return _sort_by(items, items)


def _sort_by(items: list[Any], keys: list[Any]) -> list[Any]:
    if keys and str(type_of(keys[0])) not in _COMPARABLE:
        raise EvaluationError("list elements must be comparable")
    if any(type(key) is not type(keys[0]) for key in keys):
        raise EvaluationError("list elements must have the same type")
    if any(key != key for key in keys):
        raise EvaluationError("NaN values cannot be ordered")
    return [items[at] for at in sorted(range(len(items)), key=keys.__getitem__)]


def _distinct(items: list[Any]) -> list[Any]:
    unique: list[Any] = []
    for item in items:
        if not contains(item, unique):
            unique.append(item)
    return unique


def _square(items: list[Any]) -> int:
    return int(len(items) ** 2 * (2.1 if items and type(items[0]) in (str, bytes) else 2.0)) + 11


def _square_of_keys(_: list[Any], keys: list[Any]) -> int:
    return _square(keys)


def _contains_all(items: list[Any], wanted: list[Any]) -> bool:
    return all(contains(item, items) for item in wanted)


def _pairs(one: list[Any], other: list[Any]) -> int:
    return len(one) * len(other) + 1


def _copied(items: list[Any], *_: Any) -> int:
    return len(items) + 11


def declare_library(functions: Functions) -> None:
    best = {"max": _extreme("max", lambda one, other: _less(other, one)), "min": _extreme("min", _less)}
    for kind in _COMPARABLE:
        declare(functions, f"list({kind}) -> isSorted(): bool", _is_sorted, _cost)
        for name, run in best.items():
            declare(functions, f"list({kind}) -> {name}(): {kind}", run, _cost)
        declare(functions, f"list({kind}) -> sort(): list({kind})", _sort, _square)
        declare(functions, f"list(T) -> @sortByAssociatedKeys(list({kind})): list(T)", _sort_by, _square_of_keys)
    for kind, run in _SUMS.items():
        declare(functions, f"list({kind}) -> sum(): {kind}", run, _cost)
    declare(functions, "list(A) -> indexOf(A): int", _index_of, _cost)
    declare(functions, "list(A) -> lastIndexOf(A): int", _last_index_of, _cost)
    declare(functions, "list(T) -> slice(int, int): list(T)", _slice, lambda _, start, end: max(end - start, 0) + 11)
    declare(functions, "list(list(T)) -> flatten(): list(T)", _flatten, _flatten_cost)
    declare(functions, "list(dyn) -> flatten(int): list(dyn)", _flatten, _flatten_cost)
    declare(
        functions, "lists.range(int): list(int)", lambda count: list(range(count)), lambda count: max(count, 0) + 11
    )
    declare(functions, "list(T) -> reverse(): list(T)", lambda items: items[::-1], _copied)
    declare(functions, "list(T) -> distinct(): list(T)", _distinct, _square)
    declare(functions, "sets.contains(list(T), list(T)): bool", _contains_all, _pairs)
    declare(
        functions,
        "sets.equivalent(list(T), list(T)): bool",
        lambda one, other: _contains_all(one, other) and _contains_all(other, one),
        lambda one, other: 2 * len(one) * len(other) + 1,
    )
    declare(
        functions,
        "sets.intersects(list(T), list(T)): bool",
        lambda one, other: any(contains(item, other) for item in one),
        _pairs,
    )
