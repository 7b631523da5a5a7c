"""Written lists, maps and messages: closures for `compiler`, made of the closures of their parts."""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import Any

from pylet.api.cel.conversions import show
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.frame import Closure, Frame
from pylet.api.cel.values import Optional, Struct, UInt, type_name

_KEYS = frozenset({str, int, UInt, bool})


def a_list(elements: Sequence[Closure], optional: Container[int]) -> Closure:
    """`optional` are the places of elements that are there only if they have a value."""
    if not optional:
        return lambda frame: [element(frame) for element in elements]

    def build(frame: Frame) -> list[Any]:
        items = []
        for at, element in enumerate(elements):
            value = element(frame)
            if at not in optional:
                items.append(value)
            elif type(value) is not Optional:
                raise EvaluationError("no such overload")
            elif value.present:
                items.append(value.value)
        return items

    return build


def a_map(entries: Sequence[tuple[Closure, Closure, bool]]) -> Closure:
    """Keys, values, and whether an entry is there only if it has a value."""

    def build(frame: Frame) -> dict[Any, Any]:
        built: dict[Any, Any] = {}
        for key_of, value_of, optional in entries:
            key = key_of(frame)
            if type(key) not in _KEYS:
                raise EvaluationError(f"unsupported key type: {type_name(key)}")
            if key in built:
                raise EvaluationError(f"Failed with repeated key: {show(key)}")
            value = value_of(frame)
            if not optional:
                built[key] = value
            elif value.present:
                built[key] = value.value
        return built

    return build


def a_struct(name: str, fields: Sequence[tuple[str, Closure, bool]]) -> Closure:
    """A message of the type `name`: keys, values, and whether a field is there only if it has a value."""

    def build(frame: Frame) -> Struct:
        built: dict[str, Any] = {}
        for key, value_of, optional in fields:
            value = value_of(frame)
            if not optional:
                built[key] = value
            elif value.present:
                built[key] = value.value
        return Struct(name, built)

    return build
