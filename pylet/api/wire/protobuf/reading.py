"""Protobuf messages become the JSON objects they stand for; decoding by the schema then drops what Go's JSON drops.

Whatever the bytes are, reading ends with an object or a ValueError, in time and memory bounded by the budgets of fields
in a message and of values (messages, items of lists, entries of maps): an empty one costs two bytes to send and 64 to
keep.
"""

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import orjson

from pylet.api.object import Object
from pylet.api.timestamps import format_micro, format_time
from pylet.api.wire.protobuf.table import BYTES, FIXED32, FIXED64, VARINT, WIRE_TYPES, Field, fields_of, is_wrapper

_MOST_DEPTH = 100
_MOST_VALUES = 100_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOTHING = memoryview(b"")
_SCHEMA = "apiextensions.v1.JSONSchemaProps"


def raw_fields(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """Field numbers, wire types and values: integers, or what lies between two places. Raises: ValueError."""
    at, end, left = 0, len(data), _MOST_VALUES
    while at < end:
        left -= 1
        if left < 0:
            raise ValueError("the message is too large")
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if not number:
            raise ValueError(f"proto: illegal tag {number} (wire type {kind})")
        if kind == VARINT:
            value, at = _varint(data, at)
            yield number, kind, value
            continue
        if kind == BYTES:
            size, at = _varint(data, at)
        elif kind in (FIXED64, FIXED32):
            size = 8 if kind == FIXED64 else 4
        else:
            raise ValueError(f"proto: illegal wireType {kind}")
        if at + size > end:
            raise ValueError("unexpected EOF")
        yield number, kind, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("unexpected EOF")
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise ValueError("proto: integer overflow")


class Reader:
    """Reads one body."""

    def __init__(self) -> None:
        self._left = _MOST_VALUES

    def message(self, data: memoryview, message: str, depth: int = 0) -> Any:
        """Raises: ValueError; KeyError, when there is no such message."""
        self._count()
        if depth > _MOST_DEPTH:
            raise ValueError("the message is too deep")
        special = _SPECIAL.get(message)
        if special is not None:
            return special(self, data, depth)
        numbered = _numbered(message)
        found: Object = {}
        for number, kind, value in raw_fields(data):
            field = numbered.get(number)
            if field is None:
                continue
            if kind != field.wire_type:
                raise ValueError(f"proto: wrong wireType = {kind} for field {field.name}")
            self._read(field, value, depth, found)
        return found.get("items", []) if is_wrapper(fields_of(message)) else found

    def _read(self, field: Field, value: Any, depth: int, into: Object) -> None:
        if field.shape == "%":
            key, inner = self._pair(value, field, depth)
            into.setdefault(field.name, {})[key] = inner
            return
        inner = self._value(value, field.type, depth)
        if field.shape == "*":
            self._count()
            into.setdefault(field.name, []).append(inner)
        elif field.shape == "<":
            into |= inner
        elif inner is not None:
            into[field.name] = inner

    def _count(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise ValueError("the message is too large")

    def _pair(self, data: memoryview, field: Field, depth: int) -> tuple[str, Any]:
        """A map's entry; either half may be left out when it is empty."""
        self._count()
        key, value = "", 0 if field.type in WIRE_TYPES else _NOTHING
        for number, kind, found in raw_fields(data):
            if kind != (BYTES if number == 1 else WIRE_TYPES.get(field.type, BYTES)):
                raise ValueError(f"proto: wrong wireType = {kind} for field {field.name}")
            if number == 1:
                key = _text(found)
            elif number == 2:
                value = found
        return key, self._value(value, field.type, depth)

    def _value(self, value: Any, type_: str, depth: int) -> Any:
        match type_:
            case "s":
                return _text(value)
            case "i":
                return _signed(value)
            case "b":
                return bool(value)
            case "y":
                return base64.b64encode(value).decode()
            case "d":
                return _double(value)
        return self.message(value, type_, depth + 1)


@cache
def _numbered(message: str) -> dict[int, Field]:
    return {field.number: field for field in fields_of(message)}


def _text(data: memoryview) -> str:
    return str(data, "utf-8")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _double(data: memoryview) -> int | float:
    value: float = struct.unpack("<d", data)[0]
    if not math.isfinite(value):
        raise ValueError(f"JSON has no {value}")
    return int(value) if value.is_integer() and abs(value) < 1 << 53 else value


def _parts(data: memoryview, **wanted: tuple[int, int]) -> dict[str, Any]:
    """The named fields of a message: each by its number and wire type."""
    names = {place: name for name, place in wanted.items()}
    return {names[number, kind]: value for number, kind, value in raw_fields(data) if (number, kind) in names}


def _string(reader: Reader, data: memoryview, depth: int) -> str:
    return _text(_parts(data, text=(1, BYTES)).get("text", _NOTHING))


def _int_or_string(reader: Reader, data: memoryview, depth: int) -> Any:
    found = _parts(data, type=(1, VARINT), number=(2, VARINT), text=(3, BYTES))
    return _text(found.get("text", _NOTHING)) if found.get("type") else _signed(found.get("number", 0))


def _time(reader: Reader, data: memoryview, depth: int) -> str | None:
    moment = _moment(data)
    return None if moment is None else format_time(moment)


def _micro_time(reader: Reader, data: memoryview, depth: int) -> str | None:
    moment = _moment(data)
    return None if moment is None else format_micro(moment)


def _moment(data: memoryview) -> datetime | None:
    """None for Go's zero time, which is sent as an empty message."""
    if not data:
        return None
    found = _parts(data, seconds=(1, VARINT), nanos=(2, VARINT))
    try:
        seconds = timedelta(seconds=_signed(found.get("seconds", 0)))
        return _EPOCH + seconds + timedelta(microseconds=_signed(found.get("nanos", 0)) // 1000)
    except OverflowError as far:
        raise ValueError("time is out of range") from far


def _json(reader: Reader, data: memoryview, depth: int) -> Any:
    raw = _parts(data, raw=(1, BYTES)).get("raw")
    return orjson.loads(raw) if raw else None


def _schema_or_list(reader: Reader, data: memoryview, depth: int) -> Any:
    schemas, only = [], {}
    for number, kind, value in raw_fields(data):
        if number == 2 and kind == BYTES:
            schemas.append(reader.message(value, _SCHEMA, depth + 1))
        elif number == 1 and kind == BYTES:
            only = reader.message(value, _SCHEMA, depth + 1)
    return schemas or only


def _schema_or_bool(reader: Reader, data: memoryview, depth: int) -> Any:
    found = _parts(data, allows=(1, VARINT), schema=(2, BYTES))
    if "schema" in found:
        return reader.message(found["schema"], _SCHEMA, depth + 1)
    return bool(found.get("allows"))


def _schema_or_names(reader: Reader, data: memoryview, depth: int) -> Any:
    names, only = [], {}
    for number, kind, value in raw_fields(data):
        if number == 2 and kind == BYTES:
            names.append(_text(value))
        elif number == 1 and kind == BYTES:
            only = reader.message(value, _SCHEMA, depth + 1)
    return names or only


_SPECIAL: dict[str, Callable[[Reader, memoryview, int], Any]] = {
    "Quantity": _string,
    "IntOrString": _int_or_string,
    "RawExtension": _json,
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _micro_time,
    "meta.v1.FieldsV1": _json,
    "apiextensions.v1.JSON": _json,
    "apiextensions.v1.JSONSchemaPropsOrArray": _schema_or_list,
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrStringArray": _schema_or_names,
}
