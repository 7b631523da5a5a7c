"""Protobuf messages as frozen dataclasses whose fields carry their number, and their encoding.

Only what CRI and containerd's event stream need: varint and length-delimited fields, maps of strings, nested and
repeated messages, boxed integers (`int | None`). proto3's rules hold: a default value is not sent, an unknown field is
skipped. It stands in for generated classes, which would cost 6 MB of memory and a second set of types.
"""

from __future__ import annotations

import dataclasses
import functools
import types
import typing
from collections.abc import Callable, Mapping
from enum import IntEnum
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NOTHING: Mapping[str, str] = {}
_SMALL = [bytes((value,)) for value in range(0x80)]
_SKIP = {_FIXED64: 8, _FIXED32: 4}


class Malformed(ValueError):
    """The bytes are not a protobuf message."""


def at(number: int, default: Any) -> Any:
    """A message's field; `default` is also what is not sent."""
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: _NOTHING, metadata={"number": number})
    return dataclasses.field(default=default, metadata={"number": number})


@dataclass_transform(frozen_default=True)
def message(cls: type[T]) -> type[T]:
    return dataclasses.dataclass(frozen=True, slots=True)(cls)


class Kind(typing.NamedTuple):
    """How one value of a field is written and read, apart from its key; `empty` is the value proto3 does not send."""

    wire_type: int
    encode: Callable[[Any], bytes]
    decode: Callable[[Any], Any]
    empty: Any


class Field(typing.NamedTuple):
    name: str
    number: int
    kind: Kind
    shape: typing.Literal["one", "many", "map"]
    key: bytes
    """What stands before its value."""


class Layout(typing.NamedTuple):
    fields: tuple[Field, ...]
    by_number: dict[int, Field]


def encode(message: Any) -> bytes:
    parts: list[bytes] = []
    for name, _, kind, shape, key in _layout(type(message)).fields:
        value = getattr(message, name)
        if shape == "map":
            for item in value.items():
                _put(parts, key, _encode_pair(item))
        elif shape == "many":
            if kind.wire_type == _VARINT:
                if value:
                    _put(parts, key, b"".join(map(kind.encode, value)))
            else:
                for item in value:
                    _put(parts, key, kind.encode(item))
        elif value is not None and value != kind.empty:
            if kind.wire_type == _BYTES:
                _put(parts, key, kind.encode(value))
            else:
                parts += (key, kind.encode(value))
    return b"".join(parts)


def decode(cls: type[T], data: bytes) -> T:
    """Raises: Malformed."""
    known = _layout(cls).by_number
    values: dict[str, Any] = {}
    position, end = 0, len(data)
    try:
        while position < end:
            key, position = _varint(data, position)
            wire_type = key & 7
            value: Any
            if wire_type == _VARINT:
                value, position = _varint(data, position)
            elif wire_type == _BYTES:
                size, position = _varint(data, position)
                value, position = data[position : position + size], position + size
            else:
                value, position = None, position + _SKIP[wire_type]
            field = known.get(key >> 3)
            if field is not None and value is not None:
                _take(values, field, wire_type, value)
    except (IndexError, KeyError, TypeError, OverflowError, UnicodeDecodeError) as broken:
        raise Malformed(f"not a {cls.__name__} message") from broken
    if position > end:
        raise Malformed(f"truncated {cls.__name__} message")
    for name, _, _, shape, _ in known.values():
        if shape == "many" and name in values:
            values[name] = tuple(values[name])
    return cls(**values)


def _take(values: dict[str, Any], field: Field, wire_type: int, value: Any) -> None:
    name, _, kind, shape, _ = field
    if shape == "map":
        key, item = _decode_pair(value)
        values.setdefault(name, {})[key] = item
    elif shape == "many":
        items = values.setdefault(name, [])
        if kind.wire_type == _VARINT and wire_type == _BYTES:  # packed
            position = 0
            while position < len(value):
                number, position = _varint(value, position)
                items.append(kind.decode(number))
        else:
            items.append(kind.decode(value))
    else:
        values[name] = kind.decode(value)


def _put(parts: list[bytes], key: bytes, body: bytes) -> None:
    size = len(body)
    parts += (key, _SMALL[size] if size < 0x80 else _encode_varint(size), body)


def _encode_varint(value: int) -> bytes:
    if 0 <= value < 0x80:
        return bytes((value,))
    value &= 0xFFFF_FFFF_FFFF_FFFF  # negative numbers travel as 64-bit two's complement
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _varint(data: bytes, position: int) -> tuple[int, int]:
    result = data[position]
    position += 1
    if result < 0x80:
        return result, position
    result &= 0x7F
    shift = 7
    while True:
        byte = data[position]
        position += 1
        result |= (byte & 0x7F) << shift
        if byte < 0x80:
            return result, position
        shift += 7


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _encode_pair(item: tuple[str, str]) -> bytes:
    parts: list[bytes] = []
    for key, text in zip((b"\x0a", b"\x12"), item, strict=True):
        _put(parts, key, text.encode())
    return b"".join(parts)


def _decode_pair(data: bytes) -> tuple[str, str]:
    found = {1: "", 2: ""}
    position = 0
    while position < len(data):
        key, position = _varint(data, position)
        size, position = _varint(data, position)
        found[key >> 3] = data[position : position + size].decode()
        position += size
    return found[1], found[2]


_INTEGER = Kind(_VARINT, _encode_varint, _signed, 0)
_SCALARS: dict[type, Kind] = {
    int: _INTEGER,
    bool: Kind(_VARINT, _encode_varint, bool, False),
    str: Kind(_BYTES, str.encode, bytes.decode, ""),
    bytes: Kind(_BYTES, bytes, bytes, b""),
}


def _encode_boxed(value: int) -> bytes:
    return b"\x08" + _encode_varint(value) if value else b""


def _decode_boxed(data: bytes) -> int:
    return _signed(_varint(data, 1)[0]) if data else 0


_BOXED = Kind(_BYTES, _encode_boxed, _decode_boxed, None)


def _kind(hint: Any) -> Kind:
    if typing.get_origin(hint) is types.UnionType:
        inner = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        return _BOXED if inner is int else _kind(inner)
    if hasattr(hint, "__dataclass_fields__"):
        # A nested message that is present is sent even when empty: presence itself can mean something.
        return Kind(_BYTES, encode, functools.partial(decode, hint), None)
    if issubclass(hint, IntEnum):
        return Kind(_VARINT, _encode_varint, functools.partial(_enum, hint), 0)
    return _SCALARS[hint]


def _enum(cls: type[IntEnum], value: int) -> int:
    """The member, or the bare number where the runtime is newer than this table."""
    try:
        return cls(value)
    except ValueError:
        return value


_layouts: dict[type, Layout] = {}


def _layout(cls: type) -> Layout:
    """Worked out from the annotations once per class, on first use."""
    found = _layouts.get(cls)
    if found is None:
        message: Any = cls
        hints = typing.get_type_hints(message)
        fields = tuple(_field(field, hints[field.name]) for field in dataclasses.fields(message))
        found = _layouts[cls] = Layout(fields, {field.number: field for field in fields})
    return found


def _field(field: dataclasses.Field[Any], hint: Any) -> Field:
    number = field.metadata["number"]
    origin = typing.get_origin(hint)
    if origin is tuple:
        return Field(field.name, number, _kind(typing.get_args(hint)[0]), "many", _key(number, _BYTES))
    if origin is Mapping:
        return Field(field.name, number, _SCALARS[str], "map", _key(number, _BYTES))
    kind = _kind(hint)
    return Field(field.name, number, kind, "one", _key(number, kind.wire_type))


def _key(number: int, wire_type: int) -> bytes:
    return _encode_varint(number << 3 | wire_type)
