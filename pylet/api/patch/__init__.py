"""Patches: JSON → JSON, pure; no function changes what it is given.

`BadPatch` is a patch that makes no sense (400), `Unprocessable` one that does not fit the object (422), `TooLarge` one
of too many operations (413), `Failed` what upstream has no better answer for (500).
"""

from __future__ import annotations

from typing import Any


class BadPatch(ValueError):
    """The patch itself is malformed."""


class Unprocessable(ValueError):
    """The patch is well-formed, and cannot be applied to this object."""


class TooLarge(ValueError):
    """The patch asks for more than one request may."""


class Failed(ValueError):
    """The patch cannot be applied, and upstream answers with the plain error."""


def shown(value: Any) -> str:
    """A JSON value as Go's %v writes it, which is how messages quote patches."""
    match value:
        case dict():
            return "map[" + " ".join(f"{name}:{shown(inner)}" for name, inner in sorted(value.items())) + "]"
        case list():
            return "[" + " ".join(map(shown, value)) + "]"
        case bool():
            return "true" if value else "false"
        case None:
            return "<nil>"
    return str(value)


def json_word(value: Any) -> str:
    """What Go's decoder calls the type of a JSON value."""
    words = {str: "string", bool: "bool", int: "number", float: "number", list: "array", dict: "object"}
    return words.get(type(value), "null")
