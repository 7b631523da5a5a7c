"""Kubernetes' protobuf, both ways: what typed Go clients, kubectl and controller-runtime speak.

An object travels as four magic bytes and a runtime.Unknown, which names its kind and carries its message; a list's
message is written in pieces, a watch's frames follow their length. Imported when somebody speaks protobuf.

Sources: apimachinery pkg/runtime/serializer/protobuf, staging/src/k8s.io/api/*/generated.proto.
"""

from __future__ import annotations

from pylet.api.errors import BadRequest
from pylet.api.object import Object
from pylet.api.wire.protobuf.reading import Reader, raw_fields
from pylet.api.wire.protobuf.table import BYTES, has_message, message_name
from pylet.api.wire.protobuf.writing import delimited, varint, writer

__all__ = ["List", "body", "dump", "frame", "has_message", "head", "load", "message"]

_MAGIC = b"k8s\x00"
_UNKNOWN_END = delimited(3, b"") + delimited(4, b"")  # contentEncoding and contentType, which Go always writes
_PIECE_BYTES = 128 << 10
_EMPTY = memoryview(b"")


def load(raw: bytes, definition: str) -> Object:
    """The object in an envelope, read as the message of that schema definition. Raises: BadRequest."""
    try:
        return head(raw) | body(raw, definition)
    except (ValueError, KeyError) as bad:
        raise BadRequest(str(bad)) from bad


def head(raw: bytes) -> Object:
    """The kind and apiVersion an envelope names, if any. Raises: ValueError."""
    if not raw.startswith(_MAGIC):
        raise ValueError("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    type_meta = _delimited(_delimited(memoryview(raw)[len(_MAGIC) :]).get(1, _EMPTY))
    named = {"kind": str(type_meta.get(2, _EMPTY), "utf-8"), "apiVersion": str(type_meta.get(1, _EMPTY), "utf-8")}
    return {name: value for name, value in named.items() if value}


def body(raw: bytes, definition: str) -> Object:
    """What an envelope that has a head carries. Raises: ValueError; KeyError, when there is no such message."""
    envelope = _delimited(memoryview(raw)[len(_MAGIC) :])
    obj: Object = Reader().message(envelope.get(2, _EMPTY), message_name(definition))
    return obj


def items(raw: bytes, definition: str) -> Object:
    """As `body`, of a list whose items are of that definition."""
    found: Object = {"metadata": {}, "items": []}
    reader = Reader()
    for number, _, value in raw_fields(_delimited(memoryview(raw)[len(_MAGIC) :]).get(2, _EMPTY)):
        if number == 1:
            found["metadata"] = reader.message(value, "meta.v1.ListMeta")
        elif number == 2:
            found["items"].append(reader.message(value, message_name(definition)))
    return found


def dump(obj: Object, definition: str) -> bytes:
    """The envelope of an object that has kind and apiVersion."""
    found = message(obj, definition)
    return _envelope_start(obj, len(found)) + found + _UNKNOWN_END


def message(obj: Object, definition: str) -> bytes:
    """The object's own message, without an envelope."""
    return writer(message_name(definition))(obj)


class List:
    """The envelope of a list, message by message; `head` has all but the items."""

    def __init__(self, head: Object) -> None:
        self._head = head
        self._open = [delimited(1, writer("meta.v1.ListMeta")(head.get("metadata") or {}))]
        self._open_bytes = len(self._open[0])
        self._pieces: list[bytes] = []

    def add(self, message: bytes) -> bool:
        """Whether this completes a piece of the answer."""
        item = delimited(2, message)
        self._open.append(item)
        self._open_bytes += len(item)
        if self._open_bytes < _PIECE_BYTES:
            return False
        self._close()
        return True

    def pieces(self) -> list[bytes]:
        """All of it; the envelope tells its size, so that its beginning is known last."""
        self._close()
        return [_envelope_start(self._head, sum(map(len, self._pieces))), *self._pieces, _UNKNOWN_END]

    def _close(self) -> None:
        self._pieces.append(b"".join(self._open))
        self._open, self._open_bytes = [], 0


def frame(type_: str, enveloped: bytes) -> bytes:
    """A watch event with its length in front of it; `enveloped` is its object, from `dump`."""
    event = delimited(1, type_.encode()) + delimited(2, delimited(1, enveloped))
    return len(event).to_bytes(4) + event


def _envelope_start(obj: Object, size: int) -> bytes:
    type_meta = delimited(1, obj.get("apiVersion", "v1").encode()) + delimited(2, obj["kind"].encode())
    return _MAGIC + delimited(1, type_meta) + b"\x12" + varint(size)


def _delimited(data: memoryview) -> dict[int, memoryview]:
    return {number: value for number, kind, value in raw_fields(data) if kind == BYTES}
