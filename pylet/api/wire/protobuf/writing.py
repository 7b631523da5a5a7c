"""JSON objects become protobuf messages: a writer for each message, compiled on its first use.

A writer takes the object and gives the message's bytes; what is absent or null in JSON is absent on the wire, which
readers take for zero. Hot path of lists and watches: a pod with its status takes 45 µs.
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import orjson

from pylet.api import gojson
from pylet.api.object import Object
from pylet.api.wire.protobuf.table import WIRE_TYPES, Field, fields_of, is_wrapper

Write = Callable[[Any], bytes]
_SMALL = tuple(bytes([number]) for number in range(128))


def varint(number: int) -> bytes:
    """A negative number takes ten bytes, as int32 and int64 do."""
    if 0 <= number < 128:
        return _SMALL[number]
    number &= 0xFFFF_FFFF_FFFF_FFFF
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)


def delimited(number: int, data: bytes) -> bytes:
    """A length-delimited field."""
    return varint(number << 3 | 2) + varint(len(data)) + data


@cache
def writer(message: str) -> Write:
    """Raises: KeyError, when there is no such message."""
    special = _SPECIAL.get(message)
    if special is not None:
        return special
    fields = fields_of(message)
    if is_wrapper(fields):
        return _list(fields[0])
    plain = {field.name: _compiled(field) for field in fields if field.shape != "<"}
    inlined = [(_one(field), _names(field.type)) for field in fields if field.shape == "<"]

    def write(obj: Object) -> bytes:
        pieces = [found(value) for name, value in obj.items() if value is not None and (found := plain.get(name))]
        for inner, names in inlined:
            if part := {name: obj[name] for name in names & obj.keys()}:
                pieces.append(inner(part))
        return b"".join(pieces)

    return write


def _names(message: str) -> frozenset[str]:
    """The JSON fields an inlined message brings."""
    fields = fields_of(message)
    own = frozenset(field.name for field in fields if field.shape != "<")
    return own.union(*(_names(field.type) for field in fields if field.shape == "<"))


def _compiled(field: Field) -> Write:
    match field.shape:
        case "*":
            return _list(field)
        case "%":
            return _map(field)
    return _one(field)


def _one(field: Field) -> Write:
    """One value with its tag."""
    tag = varint(field.number << 3 | WIRE_TYPES.get(field.type, 2))
    match field.type:
        case "s":
            return lambda value: _tagged(tag, value.encode())
        case "y":
            return lambda value: _tagged(tag, base64.b64decode(value))
        case "i":
            return lambda value: tag + varint(int(value))
        case "b":
            return lambda value: tag + _SMALL[bool(value)]
        case "d":
            return lambda value: tag + struct.pack("<d", value)
    return _Inner(tag, field.type)


class _Inner:
    """A field that is a message, whose writer is found when first needed: messages are recursive."""

    __slots__ = ("_message", "_tag", "_write")

    def __init__(self, tag: bytes, message: str) -> None:
        self._tag = tag
        self._message = message
        self._write: Write | None = None

    def __call__(self, value: Any) -> bytes:
        write = self._write
        if write is None:
            write = self._write = writer(self._message)
        return _tagged(self._tag, write(value))


def _tagged(tag: bytes, data: bytes) -> bytes:
    size = len(data)
    return tag + _SMALL[size] + data if size < 128 else tag + varint(size) + data


def _list(field: Field) -> Write:
    one = _one(field)
    zero: Any = {"s": "", "i": 0}.get(field.type, {})
    return lambda values: b"".join([one(zero if value is None else value) for value in values])


def _map(field: Field) -> Write:
    tag = varint(field.number << 3 | 2)
    value_of = _one(Field(2, "", "", field.type))

    def write(entries: Object) -> bytes:
        return b"".join(
            [
                _tagged(tag, _tagged(b"\x0a", name.encode()) + (b"" if value is None else value_of(value)))
                for name, value in entries.items()
            ]
        )

    return write


def _text(value: Any) -> bytes:
    return _tagged(b"\x0a", str(value).encode())


def _json(value: Any) -> bytes:
    return delimited(1, orjson.dumps(value))


def _raw(value: Any) -> bytes:
    """RawExtension: a StatefulSet's controller compares the bytes of its revisions with those it would write."""
    return delimited(1, gojson.escaped(orjson.dumps(value).decode()).encode())


def _int_or_string(value: Any) -> bytes:
    return b"\x08\x01" + _tagged(b"\x1a", value.encode()) if isinstance(value, str) else b"\x08\x00\x10" + varint(value)


def _time(value: str) -> bytes:
    moment = datetime.fromisoformat(value)
    seconds = b"\x08" + varint(int(moment.replace(microsecond=0).timestamp()))
    return seconds + b"\x10" + varint(moment.microsecond * 1000) if moment.microsecond else seconds


def _schema_or_list(value: Any) -> bytes:
    """JSONSchemaPropsOrArray."""
    schema = writer(_SCHEMA)
    if isinstance(value, list):
        return b"".join(delimited(2, schema(one)) for one in value)
    return delimited(1, schema(value))


def _schema_or_bool(value: Any) -> bytes:
    return b"\x08" + _SMALL[value] if isinstance(value, bool) else b"\x08\x01" + delimited(2, writer(_SCHEMA)(value))


def _schema_or_names(value: Any) -> bytes:
    """JSONSchemaPropsOrStringArray."""
    if isinstance(value, list):
        return b"".join(delimited(2, name.encode()) for name in value)
    return delimited(1, writer(_SCHEMA)(value))


_SCHEMA = "apiextensions.v1.JSONSchemaProps"
_SPECIAL: dict[str, Write] = {
    "Quantity": _text,
    "IntOrString": _int_or_string,
    "RawExtension": _raw,
    "meta.v1.Time": _time,
    "meta.v1.MicroTime": _time,
    "meta.v1.FieldsV1": _json,
    "apiextensions.v1.JSON": _json,
    "apiextensions.v1.JSONSchemaPropsOrArray": _schema_or_list,
    "apiextensions.v1.JSONSchemaPropsOrBool": _schema_or_bool,
    "apiextensions.v1.JSONSchemaPropsOrStringArray": _schema_or_names,
}
