"""kubectl's JSONPath templates: parse once, evaluate on JSON values. Pure.

The dialect and its wording of errors are client-go's (`util/jsonpath`): text outside of braces, `{range}…{end}`,
filters that compare one left with one right side, negative indexes, slices, unions, `..`. A missing key gives nothing.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any

from pylet.cli.kubectl.documents import to_text
from pylet.cli.kubectl.jsonpath.syntax import (
    BadPath,
    Descent,
    Field,
    Filter,
    Literal,
    Path,
    Slice,
    Step,
    Template,
    Union,
    Wildcard,
    Word,
    parse,
    relaxed,
)

__all__ = ["BadPath", "Template", "find", "parse", "relaxed", "render"]


def find(template: Template, value: Any, *, missing_keys: bool = True) -> list[list[Any]]:
    """The results of every part of the template, in order. Raises: BadPath, without `missing_keys` for those, too."""
    results, _ = _run(template, 0, value, depth=0, strict=not missing_keys)
    return results


def _run(template: Template, at: int, value: Any, *, depth: int, strict: bool) -> tuple[list[list[Any]], int]:
    """Results from part `at` on until the end of the template or of the range, and where that was."""
    results: list[list[Any]] = []
    while at < len(template):
        part = template[at]
        words = [step.name for step in part if isinstance(step, Word)]
        at += 1
        if "end" in words:
            if not depth:
                raise BadPath("not in range, nothing to end")
            return results, at
        if "range" in words:
            items = _walk([value], tuple(step for step in part if not isinstance(step, Word)), strict=strict)
            end = len(template)
            for item in items or [None]:
                inner, end = _run(template, at, item, depth=depth + 1, strict=strict)
                if items:
                    results += inner
            at = end
        else:
            results.append(_walk([value], part, strict=strict))
    return results, at


def _walk(values: list[Any], path: Path, *, strict: bool = False) -> list[Any]:
    for step in path:
        found = _step(values, step, strict=strict)
        if strict and isinstance(step, Field) and values and not found:
            raise BadPath(f"{step.name} is not found")
        values = found
    return values


def _step(values: list[Any], step: Step, *, strict: bool) -> list[Any]:
    match step:
        case Literal(value):
            return [value]
        case Field(name):
            return [v[name] for v in values if isinstance(v, dict) and name in v]
        case Wildcard():
            return [child for v in values for child in _children(v)]
        case Descent():
            return [deep for v in values for deep in _deep(v)]
        case Slice():
            return [item for v in values if v is not None for item in _sliced(v, step)]
        case Union(branches):
            return [found for branch in branches for found in _walk(values, branch, strict=strict)]
        case Filter():
            return [item for v in values for item in _filtered(v, step)]
        case Word():
            return values


def _children(value: Any) -> Sequence[Any]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else ()


def _deep(value: Any) -> list[Any]:
    """The containers in a value, itself first."""
    children = _children(value)
    return [value, *(deep for child in children for deep in _deep(child))] if children else []


def _sliced(value: Any, step: Slice) -> list[Any]:
    if not isinstance(value, list):
        raise BadPath(f"{_go_type(value)} is not array or slice")
    length = len(value)
    first = step.first or 0
    first += length if first < 0 else 0
    if step.single:
        last = first + 1
    else:
        last = length if step.last is None else step.last
        last += length if last < 0 else 0
    if first == last:
        return []
    if not 0 <= first < length:
        raise BadPath(f"array index out of bounds: index {first}, length {length}")
    if not 0 <= last <= length:
        raise BadPath(f"array index out of bounds: index {last - 1}, length {length}")
    if first > last:
        raise BadPath(f"starting index {first} is greater than ending index {last}")
    if step.step is not None and step.step <= 0:
        raise BadPath("step must be > 0")
    return value[first : last : step.step or 1]


_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def _filtered(value: Any, step: Filter) -> list[Any]:
    if not isinstance(value, list):
        raise BadPath(f"{to_text(value)} is not array or slice and cannot be filtered")
    return [item for item in value if _passes(item, step)]


def _passes(item: Any, step: Filter) -> bool:
    lefts = _walk([item], step.left)
    if step.comparison == "exists":
        return bool(lefts)
    rights = _walk([item], step.right)
    if len(lefts) > 1 or len(rights) > 1:
        raise BadPath("can only compare one element at a time")
    if not lefts or not rights:
        return False
    compare = _OPERATORS.get(step.comparison)
    if compare is None:
        raise BadPath(f"unrecognized filter operator {step.comparison}")
    try:
        return bool(compare(lefts[0], rights[0]))
    except TypeError:
        raise BadPath("incompatible types for comparison") from None


def _go_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case str():
            return "string"
        case int():
            return "int64"
        case float():
            return "float64"
    return "map[string]interface {}"


def render(template: Template, value: Any, *, missing_keys: bool = True) -> str:
    """What `-o jsonpath=` prints. Raises: BadPath."""
    return "".join(" ".join(map(to_text, results)) for results in find(template, value, missing_keys=missing_keys))
