"""SPDY/3.1 as its client speaks it, as a state machine: bytes in, events and bytes out; no I/O.

Of the protocol what carries streams: opening them, data, their ends. Headers go out compressed without the protocol's
dictionary, which a receiver must accept (RFC 1950, FDICT); what headers come back is not looked at. There are no
windows, as there are none in the peers it is for (github.com/moby/spdystream): who does not read holds up all streams.
Source: SPDY draft 3.1.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

_HEAD = struct.Struct(">II")
_CONTROL, _VERSION = 0x80000000, 3
_SYN_STREAM, _SYN_REPLY, _RST_STREAM, _PING, _GOAWAY = 1, 2, 3, 6, 7
_FIN = 1


class Received(NamedTuple):
    """`data` of `stream`; `is_last` when nothing more comes of it."""

    stream: int
    data: bytes
    is_last: bool


class Client:
    def __init__(self) -> None:
        self._compressor = zlib.compressobj()
        self._buffer = bytearray()
        self._opened = 0
        self.replies = bytearray()
        """What `receive` found to be answered: to be sent and cleared."""

    def open(self, headers: Mapping[str, str]) -> tuple[int, bytes]:
        """The number of a new stream, and what to send."""
        stream = 2 * self._opened + 1  # those that a client opens have odd numbers
        self._opened += 1
        block = struct.pack(">I", len(headers))
        for name, value in headers.items():
            block += b"".join(struct.pack(">I", len(text)) + text.encode() for text in (name, value))
        packed = self._compressor.compress(block) + self._compressor.flush(zlib.Z_SYNC_FLUSH)
        return stream, _control(_SYN_STREAM, struct.pack(">IIBB", stream, 0, 0, 0) + packed)

    def receive(self, data: bytes) -> Iterator[Received]:
        """To be read to its end before the next call."""
        buffer = self._buffer
        buffer += data
        while len(buffer) >= _HEAD.size:
            first, second = _HEAD.unpack_from(buffer)
            end = _HEAD.size + (second & 0xFFFFFF)
            if len(buffer) < end:
                return
            content, is_last = bytes(buffer[_HEAD.size : end]), bool(second >> 24 & _FIN)
            del buffer[:end]
            if not first & _CONTROL:
                yield Received(first, content, is_last)
                continue
            kind, stream = first & 0xFFFF, int.from_bytes(content[:4], "big") & 0x7FFFFFFF
            if kind == _PING and stream % 2 == 0:  # those that the peer began
                self.replies += _control(_PING, content)
            elif kind == _RST_STREAM or (kind == _SYN_REPLY and is_last):
                yield Received(stream, b"", is_last=True)
            elif kind == _GOAWAY:
                for number in range(1, 2 * self._opened, 2):
                    if number > stream:  # the last one the peer has taken
                        yield Received(number, b"", is_last=True)


def data(stream: int, content: bytes) -> bytes:
    return _HEAD.pack(stream, len(content)) + content


def end(stream: int) -> bytes:
    """No more data comes on this stream."""
    return _HEAD.pack(stream, _FIN << 24)


def _control(kind: int, payload: bytes) -> bytes:
    return _HEAD.pack(_CONTROL | _VERSION << 16 | kind, len(payload)) + payload
