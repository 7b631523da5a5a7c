"""Taking a field of a value: what it may be called, whether it is there, what an absent one says."""

from __future__ import annotations

from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.frame import Closure, Frame
from pylet.api.cel.library.optional import optional_index
from pylet.api.cel.names import unescape
from pylet.api.cel.values import NONE, Optional


def keys(kind: t.Type, name: str) -> list[str]:
    """What a field may be called in the object: its type says, else it is tried as written, then unescaped."""
    if kind.name == "optional_type":
        kind = kind.params[0]
    if kind.kind == "object" and kind.declaration is not None:
        found = kind.declaration.find(name)
        return [found[0] if found else name]
    plain = unescape(name) if "__" in name and kind.kind != "map" else name
    return [name] if plain == name else [name, plain]


def select(container: Any, names: list[str]) -> Any:
    if isinstance(container, dict):
        for name in names:
            if name in container:
                return container[name]
        raise EvaluationError(f"no such key: {names[0]}")
    raise unfit(container, names[0])


def unfit(container: Any, name: str) -> EvaluationError:
    """Of what has no fields."""
    if isinstance(container, list):
        return EvaluationError("unsupported index type 'string' in list")
    return EvaluationError(f"no such key: {name}")


def select_optional(container: Any, names: list[str]) -> Optional:
    if isinstance(container, Optional):
        if not container.present:
            return NONE
        container = container.value
    for name in names:
        found = optional_index(container, name)
        if found.present:
            return found
    return NONE


def field(operand: Closure, key: str) -> Closure:
    """A declared field: null stands for an absent one."""

    def field(frame: Frame) -> Any:
        container = operand(frame)
        try:
            value = container[key]
        except (KeyError, TypeError):
            value = None
        if value is None:
            raise EvaluationError(f"no such key: {key}")
        return value

    return field


def has(operand: Closure, names: list[str], *, is_object: bool) -> Closure:
    name = names[0]

    def has(frame: Frame) -> bool:
        container = operand(frame)
        if isinstance(container, dict):
            if is_object:
                return name in container and container[name] is not None
            return name in container or any(other in container for other in names)
        if isinstance(container, Optional):
            return container.present and isinstance(container.value, dict) and name in container.value
        if isinstance(container, list):
            raise unfit(container, name)
        return False

    return has
