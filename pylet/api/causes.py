"""What can be wrong with a field, as entries of `Status.details.causes` with upstream's reasons and messages.

Source: apimachinery pkg/util/validation/field/errors.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from contextvars import ContextVar
from typing import Any

import orjson

from pylet.api import gojson
from pylet.api.errors import Cause

IMMUTABLE = "field is immutable"


class Struct(dict[str, Any]):
    """A value that is shown with its fields in their order (`golang.inside`)."""


def _shown(value: Any) -> str:
    if value.__class__ is str:
        return quoted(value)
    if value is None:
        return "null"
    is_struct = value.__class__ is Struct or (value.__class__ is list and value and value[0].__class__ is Struct)
    return gojson.escaped(orjson.dumps(value, option=0 if is_struct else orjson.OPT_SORT_KEYS).decode())


def quoted(text: str) -> str:
    """As Go's %q."""
    shown = orjson.dumps(text).decode()
    return shown if text.isprintable() else _UNPRINTED.sub(_go_escape, shown)


_UNPRINTED = re.compile(r"\\u00([01][0-9a-f])|[^ -~]")
_GO_ESCAPES = {"\a": r"\a", "\v": r"\v", "\x7f": r"\x7f"}


def _go_escape(match: re.Match[str]) -> str:
    """Of what JSON escapes otherwise, or not at all."""
    char = chr(int(match[1], 16)) if match[1] else match[0]
    if char.isprintable():
        return char
    code = ord(char)
    width = f"\\x{code:02x}" if code < 0x20 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _GO_ESCAPES.get(char, width)


class TooMany(Exception):
    """More is wrong than anybody reads; `causes` are what was found until then."""

    def __init__(self, causes: Sequence[Cause]) -> None:
        self.causes = causes


class Bounded:
    """Stop judging what is wrong all over: a refusal is small though it quotes what it refuses. Raises: TooMany."""

    def __init__(self) -> None:
        self._causes: list[Cause] = []
        self._left = _MOST_BYTES

    def __enter__(self) -> None:
        self._outer = _found.set(self)

    def __exit__(self, *raised: object) -> None:
        _found.reset(self._outer)

    def add(self, cause: Cause) -> None:
        self._causes.append(cause)
        self._left -= len(cause.message) + len(cause.field) + _CAUSE_BYTES
        if self._left < 0:
            raise TooMany(self._causes)


_found: ContextVar[Bounded | None] = ContextVar("found", default=None)
_MOST_BYTES = 4 << 20
_CAUSE_BYTES = 200  # beside its texts


def _cause(reason: str, says: str, field: str, detail: str) -> Cause:
    cause = Cause(reason, f"{says}: {detail}" if detail else says, field)
    if (found := _found.get()) is not None:
        found.add(cause)
    return cause


def required(field: str, detail: str = "") -> Cause:
    return _cause("FieldValueRequired", "Required value", field, detail)


def invalid(field: str, value: Any, detail: str) -> Cause:
    return _cause("FieldValueInvalid", f"Invalid value: {_shown(value)}", field, detail)


def marshalled(field: str, value: Any, detail: str) -> Cause:
    """Invalid, where upstream shows a Go structure or what is pointed to: JSON, its fields in their order."""
    shown = gojson.escaped(orjson.dumps(value).decode())
    return _cause("FieldValueInvalid", f"Invalid value: {shown}", field, detail)


def invalid_omitted(field: str, detail: str) -> Cause:
    """Invalid without showing the value: what is wrong is how values go together."""
    return _cause("FieldValueInvalid", "Invalid value", field, detail)


def forbidden(field: str, detail: str) -> Cause:
    return _cause("FieldValueForbidden", "Forbidden", field, detail)


def duplicate(field: str, value: Any, detail: str = "") -> Cause:
    return _cause("FieldValueDuplicate", f"Duplicate value: {_shown(value)}", field, detail)


def not_found(field: str, value: Any) -> Cause:
    return _cause("FieldValueNotFound", f"Not found: {_shown(value)}", field, "")


def not_supported(field: str, value: Any, supported: Iterable[str]) -> Cause:
    listed = ", ".join(map(quoted, supported))
    return _cause("FieldValueNotSupported", f"Unsupported value: {_shown(value)}", field, f"supported values: {listed}")


def too_long(field: str, most: int) -> Cause:
    return _cause("FieldValueTooLong", "Too long", field, f"may not be more than {most} bytes")


def too_many(field: str, count: int, most: int) -> Cause:
    detail = f"must have at most {most} item{'' if most == 1 else 's'}"
    return _cause("FieldValueTooMany", f"Too many: {count}", field, detail)


def alone(values: Sequence[str], field: str, what: str) -> list[Cause]:
    """Whether `*` stands alone."""
    if len(values) > 1 and "*" in values:
        return [invalid(field, values, f"if '*' is present, must not specify other {what}")]
    return []


def each(field: str, value: Any, problems: Iterable[str]) -> list[Cause]:
    """One Invalid for every problem `pylet.api.names` found."""
    return [invalid(field, value, problem) for problem in problems] if problems else []


def immutable(field: str, value: Any, old: Any, detail: str = IMMUTABLE) -> list[Cause]:
    """Invalid when the value changed."""
    return [] if value == old else [invalid(field, value, detail)]
