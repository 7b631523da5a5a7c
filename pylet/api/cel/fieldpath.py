"""The `fieldPath` of a rule: a JSON path of fields and map keys, checked against the schema.

Source: apiextensions-apiserver pkg/apiserver/schema/cel/validation.go, ValidFieldPath.
"""

from __future__ import annotations

import re

from pylet.api.object import Object

_TOKEN = re.compile(r"'(?:[^']|(?<=\\)')*'|[.\[\]]|[^.\[\]]+")
_ESCAPES = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "'": "'", "\\": "\\"}


def normalized(path: str, schema: Object) -> str:
    """The path as errors show it. Raises: ValueError."""
    return followed(path, schema)[0]


def followed(path: str, schema: Object, *, in_brackets: bool = True) -> tuple[str, Object]:
    """The path as errors show it, and the schema it leads to; `in_brackets`: names may be. Raises: ValueError."""
    tokens = _TOKEN.findall(path)
    found = ""
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token == "[" and not in_brackets:
            raise ValueError("array notation is not allowed")
        if at + 1 >= len(tokens):
            raise ValueError("unexpected end of JSON path" if token in ".[" else f"expected [ or . but got: {token}")
        name = tokens[at + 1]
        if token == "[":
            if len(name) < 2 or name[0] != "'" or name[-1] != "'":
                raise ValueError(f"expected single quoted string but got {name}")
            name = _unescaped(name[1:-1])
            if at + 2 >= len(tokens):
                raise ValueError("unexpected end of JSON path")
            if tokens[at + 2] != "]":
                raise ValueError(f"expected ] but got {tokens[at + 2]}")
            at += 3
        elif token == ".":
            at += 2
        else:
            raise ValueError(f"expected [ or . but got: {token}")
        found, schema = _step(found, name, schema)
    return found, schema


def _step(path: str, name: str, schema: Object) -> tuple[str, Object]:
    properties, more = schema.get("properties"), schema.get("additionalProperties")
    if properties:
        if name not in properties:
            raise ValueError("does not refer to a valid field")
        return (f"{path}.{name}" if path else name), properties[name]
    if isinstance(more, dict):
        return f"{path}[{name}]", more
    raise ValueError("does not refer to a valid field")


def _unescaped(text: str) -> str:
    def char(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPES:
            raise ValueError(f"invalid string literal: invalid escape char {match[0]}")
        return _ESCAPES[match[1]]

    return re.sub(r"\\(.)", char, text, flags=re.DOTALL)
