"""Structural schemas as CEL sees them: types, how large their values can get, and the values themselves.

Source: apiserver pkg/cel/common/schemas.go (SchemaDeclType) and valuesunstructured.go; apiserver/pkg/cel/types.go.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.names import escape
from pylet.api.cel.types import Declaration, Type
from pylet.api.cel.values import Duration, MapList, SetList, Timestamp, parse_duration, parse_timestamp
from pylet.api.object import Object

MAX_REQUEST = 3 * 1024 * 1024
_MAX_TIME, _DATE = 32, 12


@dataclass(frozen=True, slots=True, eq=False)
class Declared:
    """A schema's CEL type; `most` elements or characters, `least` bytes when serialized."""

    type: Type
    most: int = 0
    least: int = 1
    fields: dict[str, Declared] = field(default_factory=dict)
    item: Declared | None = None
    key: Declared | None = None


_BOOL, _INT, _DOUBLE = Declared(t.BOOL, least=4), Declared(t.INT), Declared(t.DOUBLE)
_NAME = {"type": "string"}
_META: Object = {"type": "object", "properties": {"name": _NAME, "generateName": _NAME}}


def declare_schema(schema: Object, name: str, *, root: bool = False) -> Declared | None:
    """What expressions may know of values of `schema`; None for what they cannot see. `root` has type and metadata."""
    if schema.get("x-kubernetes-int-or-string"):
        length = schema.get("maxLength")
        return Declared(t.DYN, MAX_REQUEST - 2 if length is None else 4 * max(length, 0))
    if root:
        schema = with_metadata(schema)
    match schema.get("type"):
        case "array":
            return _list(schema, name)
        case "object":
            more = schema.get("additionalProperties")
            return _map(schema, more, name) if isinstance(more, dict) else _object(schema, name)
        case "string":
            return _string(schema)
        case "boolean":
            return _BOOL
        case "number":
            return _DOUBLE
        case "integer":
            return _INT
    return None


def with_metadata(schema: Object) -> Object:
    """A resource's own fields that every expression at its root may use, whether declared or not."""
    declared = schema.get("properties") or {}
    meta = (declared.get("metadata") or {}).get("properties") or {}
    strings = [declared.get("kind"), declared.get("apiVersion"), meta.get("name"), meta.get("generateName")]
    if all(one is not None and one.get("type") == "string" for one in strings):
        return schema
    return {**schema, "properties": {**declared, "kind": _NAME, "apiVersion": _NAME, "metadata": _META}}


def _inner(schema: Object, name: str) -> Declared | None:
    return declare_schema(schema, name, root=bool(schema.get("x-kubernetes-embedded-resource")))


def _list(schema: Object, name: str) -> Declared | None:
    items = schema.get("items")
    item = _inner(items, f"{name}.@idx") if isinstance(items, dict) else None
    if item is None:
        return None
    limit = schema.get("maxItems")
    most = (MAX_REQUEST - 2) // (item.least + 1) if limit is None else max(limit, 0)
    return Declared(t.list_of(item.type), most, 2, item=item)


def _map(schema: Object, more: Object, name: str) -> Declared | None:
    value = _inner(more, f"{name}.@elem")
    if value is None:
        return None
    limit = schema.get("maxProperties")
    most = (MAX_REQUEST - 2) // (value.least + 6) if limit is None else max(limit, 0)
    key = Declared(t.STRING, 0, 2)
    return Declared(t.map_of(t.STRING, value.type), most, 2, item=value, key=key)


def _object(schema: Object, name: str) -> Declared:
    fields: dict[str, Declared] = {}
    names: dict[str, tuple[str, Type]] = {}
    required = set(schema.get("required") or ())
    least = 2
    for plain, inner in (schema.get("properties") or {}).items():
        declared = _inner(inner, f"{name}.{plain}")
        if declared is None:
            continue
        written = escape(plain)
        if written is not None:
            fields[written] = declared
            names[written] = (plain, declared.type)
        if plain in required and inner.get("default") is None:
            least += len(plain) + declared.least + 4
    return Declared(Type("object", (), name, Declaration(names)), 0, least, fields)


def _string(schema: Object) -> Declared:
    length = schema.get("maxLength")
    match schema.get("format"):
        case "byte":
            return Declared(t.BYTES, MAX_REQUEST - 2 if length is None else max(length, 0), 2)
        case "duration":
            return Declared(t.DURATION, _MAX_TIME, 3)
        case "date":
            return Declared(t.TIMESTAMP, _DATE, _DATE)
        case "date-time":
            return Declared(t.TIMESTAMP, _MAX_TIME, 21)
    if length is not None:
        return Declared(t.STRING, 4 * max(length, 0), 2)
    enum = [value for value in schema.get("enum") or () if isinstance(value, str)]
    return Declared(t.STRING, max(map(len, enum)) if enum else MAX_REQUEST - 2, 2)


Convert = Callable[[Any], Any]


def converter(schema: Object) -> Convert | None:
    """From JSON to CEL's values; None where they are the same, which is nearly everywhere."""
    if schema.get("x-kubernetes-int-or-string"):
        return None
    match schema.get("type"):
        case "number":
            return lambda value: float(value) if type(value) is int else value
        case "string":
            parse = _PARSERS.get(schema.get("format") or "")
            return _lenient(parse) if parse else None
        case "array":
            return _list_converter(schema)
        case "object":
            return _object_converter(schema)
    return None


def _lenient(parse: Callable[[str], Any]) -> Convert:
    """What is no such value stays a string: its format's own validation says so."""

    def convert(value: Any) -> Any:
        try:
            return parse(value) if type(value) is str else value
        except (ValueError, binascii.Error):
            return value

    return convert


def _date(text: str) -> Timestamp:
    return parse_timestamp(f"{text}T00:00:00Z")


def _moment(text: str) -> Timestamp:
    return parse_timestamp(text.upper())


_PARSERS: dict[str, Callable[[str], bytes | Timestamp | Duration]] = {
    "byte": lambda text: base64.b64decode(text, validate=True),
    "duration": parse_duration,
    "date": _date,
    "date-time": _moment,
}


def _list_converter(schema: Object) -> Convert | None:
    inner = converter(schema.get("items") or {})
    kind = schema.get("x-kubernetes-list-type")
    keys = tuple(schema.get("x-kubernetes-list-map-keys") or ())
    if inner is None and kind not in ("set", "map"):
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            return value
        items = value if inner is None else [inner(item) for item in value]
        if kind == "set":
            return SetList(items)
        return MapList(items, keys) if kind == "map" else items

    return convert


def _object_converter(schema: Object) -> Convert | None:
    inner = {name: found for name, one in (schema.get("properties") or {}).items() if (found := converter(one))}
    more = schema.get("additionalProperties")
    each = converter(more) if isinstance(more, dict) else None
    if not inner and each is None:
        return None

    def convert(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        if each is not None:
            return {name: each(item) for name, item in value.items()}
        return {name: inner[name](item) if name in inner else item for name, item in value.items()}

    return convert
