"""An OpenAPI version 2 document as gnostic's protobuf, which kubectl asks for. What is not in a document of ours is not
here either. Source: gnostic-models openapiv2/OpenAPIv2.proto (field numbers).
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

import orjson

from pylet.api.object import Object
from pylet.api.wire.protobuf.writing import delimited, varint

_SCHEMA_TEXTS = {"$ref": 1, "format": 2, "title": 3, "description": 4, "pattern": 13}
_SCHEMA_DOUBLES = {"multipleOf": 6, "maximum": 7, "minimum": 9}
_SCHEMA_FLAGS = {"exclusiveMaximum": 8, "exclusiveMinimum": 10, "uniqueItems": 16}
_SCHEMA_NUMBERS = {
    "maxLength": 11,
    "minLength": 12,
    "maxItems": 14,
    "minItems": 15,
    "maxProperties": 17,
    "minProperties": 18,
}
_METHODS = {"get": 2, "put": 3, "post": 4, "delete": 5, "options": 6, "head": 7, "patch": 8}


def document(made: Object) -> bytes:
    info = made["info"]
    return b"".join(
        [
            _text(1, made["swagger"]),
            delimited(2, _text(1, info["title"]) + _text(2, info["version"])),
            delimited(8, _named(2, made["paths"], _path)),
            delimited(9, _named(1, made["definitions"], _schema)),
            *(delimited(12, _named(1, one, lambda names: _texts(1, names))) for one in made["security"]),
            delimited(13, _named(1, made["securityDefinitions"], _security)),
        ]
    )


def _path(item: Object) -> bytes:
    found = [delimited(_METHODS[method], _operation(one)) for method, one in item.items() if method in _METHODS]
    return b"".join(found) + _parameters(9, item.get("parameters", ()))


def _operation(one: Object) -> bytes:
    return b"".join(
        [
            _texts(1, one["tags"]),
            _text(3, one.get("description", "")),
            _text(5, one["operationId"]),
            _texts(6, one["produces"]),
            _texts(7, one["consumes"]),
            _parameters(8, one.get("parameters", ())),
            delimited(9, _named(1, one["responses"], lambda answer: delimited(1, _response(answer)))),
            _texts(10, one["schemes"]),
            _extensions(13, one),
        ]
    )


def _response(answer: Object) -> bytes:
    schema = answer.get("schema")
    found = _text(1, answer["description"])
    return found if schema is None else found + delimited(2, delimited(1, _schema(schema)))


def _parameters(number: int, parameters: Iterable[Object]) -> bytes:
    """Each lies in a ParametersItem, which holds a Parameter, which holds one of its sorts."""
    return b"".join(delimited(number, delimited(1, _parameter(one))) for one in parameters)


def _parameter(one: Object) -> bytes:
    texts = one.get("description", ""), one["name"], one["in"]
    if one["in"] == "body":
        body = b"".join(_text(number, text) for number, text in enumerate(texts, 1))
        return delimited(1, body + _flag(4, one.get("required")) + delimited(5, _schema(one["schema"])))
    description, name, place = texts
    head = _flag(1, one.get("required")) + _text(2, place) + _text(3, description) + _text(4, name)
    if place == "path":
        return delimited(2, delimited(4, head + _text(5, one["type"]) + _flag(18, one.get("uniqueItems"))))
    return delimited(2, delimited(3, head + _text(6, one["type"]) + _flag(19, one.get("uniqueItems"))))


def _schema(schema: Object) -> bytes:
    found: list[bytes] = []
    for word, value in schema.items():
        write = _SCHEMA.get(word)
        if write is not None and value is not None:
            found.append(write(value))
    return b"".join(found) + _extensions(31, schema)


def _type(value: Any) -> bytes:
    return delimited(22, _texts(1, [value] if isinstance(value, str) else value))


def _more_properties(value: Any) -> bytes:
    return delimited(21, _flag(2, value) if isinstance(value, bool) else delimited(1, _schema(value)))


def _double(number: int, value: float) -> bytes:
    return varint(number << 3 | 1) + struct.pack("<d", value)


def _number(number: int, value: float) -> bytes:
    return varint(number << 3) + varint(int(value))


def _text(number: int, text: str) -> bytes:
    return delimited(number, text.encode()) if text else b""


def _texts(number: int, texts: Iterable[str]) -> bytes:
    return b"".join(delimited(number, text.encode()) for text in texts)


def _flag(number: int, value: Any) -> bytes:
    return varint(number << 3) + b"\x01" if value else b""


def _any(value: Any) -> bytes:
    """YAML, of which JSON is a part."""
    return _text(2, orjson.dumps(value).decode() + "\n")


_SCHEMA: dict[str, Callable[[Any], bytes]] = {
    **{word: partial(_text, number) for word, number in _SCHEMA_TEXTS.items()},
    **{word: partial(_double, number) for word, number in _SCHEMA_DOUBLES.items()},
    **{word: partial(_flag, number) for word, number in _SCHEMA_FLAGS.items()},
    **{word: partial(_number, number) for word, number in _SCHEMA_NUMBERS.items()},
    "default": lambda value: delimited(5, _any(value)),
    "required": lambda names: _texts(19, names),
    "enum": lambda values: b"".join(delimited(20, _any(value)) for value in values),
    "additionalProperties": _more_properties,
    "type": _type,
    "items": lambda value: delimited(23, delimited(1, _schema(value))),
    "allOf": lambda values: b"".join(delimited(24, _schema(value)) for value in values),
    "properties": lambda value: delimited(25, _named(1, value, _schema)),
    "example": lambda value: delimited(30, _any(value)),
}


def _security(one: Object) -> bytes:
    texts = (one["type"], one["name"], one["in"], one["description"])
    return delimited(2, b"".join(_text(number, text) for number, text in enumerate(texts, 1)))


def _named(number: int, values: Object, write: Callable[[Any], bytes]) -> bytes:
    """What JSON has as an object: a list of names, each with its value."""
    return b"".join(delimited(number, _text(1, name) + delimited(2, write(value))) for name, value in values.items())


def _extensions(number: int, value: Object) -> bytes:
    own = {name: _any(inner) for name, inner in value.items() if name.startswith("x-")}
    return _named(number, own, lambda told: bytes(told))
