"""Bodies in Kubernetes' protobuf become JSON objects: what `kubectl create` and typed Go clients send.

The message is read literally; decoding by the schema then drops what is empty, as Go's JSON does. Only reading: clients
that can read protobuf take JSON as well. Imported when somebody sends protobuf.

Sources: apimachinery pkg/runtime/serializer/protobuf (the envelope), staging/src/k8s.io/api/*/generated.proto.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.api.timestamps import format_micro, format_time

_MAGIC = b"k8s\x00"
_MOST_DEPTH = 100
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_TABLE = Path(__file__).with_suffix(".txt")


class _Field(NamedTuple):
    name: str
    shape: str
    """"" one value, "*" a list, "%" a map, "<" inlined."""
    type: str


def load(raw: bytes, definition: str) -> Object:
    """The object in an envelope, read as the message of that schema definition. Raises: BadRequest."""
    if not raw.startswith(_MAGIC):
        raise BadRequest("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    try:
        envelope = dict(_read(memoryview(raw)[len(_MAGIC) :]))
        type_meta = {number: bytes(value).decode() for number, value in _read(envelope.get(1, memoryview(b"")))}
        obj: Object = _message(envelope.get(2, memoryview(b"")), _short(definition), 0)
    except (ValueError, KeyError, IndexError, TypeError, struct.error, OverflowError) as bad:
        raise BadRequest(f"proto: cannot decode the body: {bad}") from bad
    head = {"kind": type_meta.get(2, ""), "apiVersion": type_meta.get(1, "")}
    return {name: value for name, value in head.items() if value} | obj


def _message(data: memoryview, type_: str, depth: int) -> Any:
    if depth > _MOST_DEPTH:
        raise ValueError("nested too deep")
    special = _SPECIAL.get(type_)
    if special is not None:
        return special(dict(_read(data)))
    fields = _messages()[type_]
    found: Object = {}
    for number, value in _read(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.shape == "%":
            key, inner = _pair(value, field.type, depth)
            found.setdefault(field.name, {})[key] = inner
            continue
        inner = _value(value, field.type, depth)
        if field.shape == "*":
            found.setdefault(field.name, []).append(inner)
        elif field.shape == "<":
            found |= inner
        elif inner is not None:
            found[field.name] = inner
    # A Go type that is a list has a message of its own, which JSON does not show.
    return found.get("items", []) if fields.keys() == {1} and fields[1] == _ITEMS else found


_ITEMS = _Field("items", "*", "s")


def _pair(data: memoryview, type_: str, depth: int) -> tuple[str, Any]:
    """A map's entry; either half may be left out when it is empty."""
    entry = dict(_read(data))
    empty: Any = 0 if type_ in "ib" else memoryview(b"")
    return bytes(entry.get(1, b"")).decode(), _value(entry.get(2, empty), type_, depth)


def _value(value: Any, type_: str, depth: int) -> Any:
    match type_:
        case "s":
            return bytes(value).decode()
        case "i":
            return value - (1 << 64) if value >> 63 else value
        case "b":
            return bool(value)
        case "y":
            return base64.b64encode(value).decode()
        case "d":
            return struct.unpack("<d", value)[0]
    return _message(value, type_, depth + 1)


def _read(data: memoryview) -> Iterator[tuple[int, Any]]:
    """Field numbers and raw values: integers, or what lies between two places."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == _VARINT:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == _BYTES:
            size, at = _varint(data, at)
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"illegal wireType {kind}")
        if at + size > end:
            raise ValueError("unexpected EOF")
        yield number, data[at : at + size]
        at += size


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
        shift += 7
        if shift > 63:
            raise ValueError("integer overflow")


def _int_or_string(fields: dict[int, Any]) -> Any:
    if fields.get(1, 0) == 0:
        return _value(fields.get(2, 0), "i", 0)
    return _value(fields.get(3, b""), "s", 0)


def _time(fields: dict[int, Any]) -> str | None:
    moment = _moment(fields)
    return None if moment is None else format_time(moment)


def _micro_time(fields: dict[int, Any]) -> str | None:
    moment = _moment(fields)
    return None if moment is None else format_micro(moment)


def _moment(fields: dict[int, Any]) -> datetime | None:
    """None for Go's zero time, which is sent as an empty message."""
    if not fields:
        return None
    seconds, nanos = _value(fields.get(1, 0), "i", 0), fields.get(2, 0)
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


def _json(fields: dict[int, Any]) -> Any:
    raw = bytes(fields.get(1, b""))
    return orjson.loads(raw) if raw else None


_SPECIAL: dict[str, Callable[[dict[int, Any]], Any]] = {
    "Quantity": lambda fields: _value(fields.get(1, b""), "s", 0),
    "IntOrString": _int_or_string,
    "meta.Time": _time,
    "meta.MicroTime": _micro_time,
    "RawExtension": _json,
    "meta.FieldsV1": _json,
}


@cache
def _messages() -> dict[str, dict[int, _Field]]:
    found: dict[str, dict[int, _Field]] = {}
    for line in _TABLE.read_text().splitlines():
        if not line.startswith("#"):
            message, *fields = line.split(" ")
            found[message] = dict(map(_field, fields))
    return found


def _field(text: str) -> tuple[int, _Field]:
    number, name, type_ = text.split(":")
    shape = type_[0] if type_[0] in "*%<" else ""
    return int(number), _Field(name, shape, type_[len(shape) :])


def _short(definition: str) -> str:
    return (
        f"meta.{definition.removeprefix(_META)}"
        if definition.startswith(_META)
        else definition.removeprefix("io.k8s.api.")
    )
