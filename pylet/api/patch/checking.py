"""Whether an applied configuration is of its schema, in upstream's words.

Source: sigs.k8s.io/structured-merge-diff/v6 typed (validate.go).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import orjson

from pylet.api.patch.fieldset import shown
from pylet.api.patch.shape import DEDUCED, Form, Shape
from pylet.api.patch.typed import element_of


class Misfit(ValueError):
    """A value that is not of its schema, worded as upstream; several come as one."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems[0] if len(problems) == 1 else "\n  ".join(["errors:", *problems]))


def check(obj: Any, shape: Shape) -> None:
    """Whether an applied configuration is of its schema. Raises: Misfit."""
    problems = list(_problems(obj, shape, ""))
    if problems:
        raise Misfit(problems)


def _problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    if value is None or shape.takes is None:
        return
    match shape.takes():
        case dict():
            if not isinstance(value, dict):
                yield f"{path}: expected map, got {_shown(value)}"
            elif shape.form is Form.FIELDS:
                yield from _field_problems(value, shape, path)
        case list():
            if not isinstance(value, list):
                yield f"{path}: expected list, got {_shown(value)}"
            elif shape.form is not Form.LEAF:
                yield from _item_problems(value, shape, path)
        case str():
            if not isinstance(value, str):
                yield f"{path}: expected string, got &value.valueUnstructured{{Value:{_go_json(value)}}}"
        case bool():
            if not isinstance(value, bool):
                yield f"{path}: expected boolean, got {_shown(value)}"
        case _:
            if isinstance(value, bool) or not isinstance(value, int | float):
                got = _GO_TYPES.get(type(value), "map[string]interface {}")
                yield f"{path}: expected numeric (int or float), got {got}"


def _field_problems(value: Any, shape: Shape, path: str) -> Iterator[str]:
    for name, inner in value.items():
        child = shape.child(name)
        if child is None:
            yield f"{path}.{name}: field not declared in schema"
            return
        yield from _problems(inner, child, f"{path}.{name}")


def _item_problems(value: list[Any], shape: Shape, path: str) -> Iterator[str]:
    seen: set[str] = set()
    for position, item in enumerate(value):
        try:
            element = element_of(item, shape)
        except ValueError as bad:
            yield f"{path}: element {position}: {bad}"
            return
        if element in seen:
            yield f"{path}: duplicate entries for key {shown(element)}"
        seen.add(element)
        yield from _problems(item, shape.item or DEDUCED, path + shown(element))


_GO_TYPES: Final = {str: "string", bool: "bool", list: "[]interface {}"}


def _shown(value: Any) -> str:
    """A value as Go's %v of it."""
    return f"&{{{value if isinstance(value, str) else _go_json(value)}}}"


def _go_json(value: Any) -> str:
    return orjson.dumps(value).decode()
