"""Many streams over one connection, as a state machine: bytes in, events and bytes out; no I/O, no clock, no chance.

A frame is a head of eight bytes (kind, length, stream) and `length` bytes of content. One side, the opener, opens
streams, with rising numbers, and says whereto; the other carries them or answers RESET. Each way, a stream carries at
most WINDOW bytes that its reader has not taken: whoever does not read stops its own stream and no other, and what a
side has to hold is bounded by WINDOW * MOST_STREAMS. What still comes for a stream that has ended is ignored; anything
else out of order is a Violation, after which the connection is of no use.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

WINDOW = 256 << 10
MOST_STREAMS = 256
MOST_DATA = 32 << 10  # in a frame: streams take turns
MOST_TO = 64
_HEAD = struct.Struct(">BxHI")
_AMOUNT = struct.Struct(">I")


class Violation(Exception):
    """The other side does not speak this protocol."""


class TooMany(Exception):
    """MOST_STREAMS are open."""


class Kind(IntEnum):
    OPEN = 1
    DATA = 2
    END = 3
    """No more data this way; the stream is over when both sides have said so."""
    RESET = 4
    """The stream is over at once, both ways."""
    CREDIT = 5
    """The reader has taken as many bytes more."""
    PING = 6
    PONG = 7


class Event(NamedTuple):
    """What the other side did; PING has been answered."""

    kind: Kind
    stream: int
    data: bytes = b""


class _Stream:
    __slots__ = ("expected", "may_send", "received_end", "sent_end", "taken")

    def __init__(self) -> None:
        self.may_send = self.expected = WINDOW
        self.taken = 0  # and not yet told
        self.sent_end = self.received_end = False


class Multiplex:
    """One side. Everything it has to say is appended to `out`, for the caller to send and clear."""

    def __init__(self, *, is_opener: bool) -> None:
        self.out = bytearray()
        self._is_opener = is_opener
        self._streams: dict[int, _Stream] = {}
        self._last = 0
        self._rest = b""

    def open(self, to: bytes = b"") -> int:
        """The number of a new stream; what `to` means is between the sides. Raises: TooMany."""
        assert self._is_opener
        if len(self._streams) >= MOST_STREAMS:
            raise TooMany(f"{MOST_STREAMS} streams are open")
        self._last += 1
        self._streams[self._last] = _Stream()
        self._say(Kind.OPEN, self._last, to)
        return self._last

    def room(self, stream: int) -> int:
        """How many bytes `send` takes at the moment."""
        state = self._streams.get(stream)
        return 0 if state is None or state.sent_end else min(state.may_send, MOST_DATA)

    def send(self, stream: int, data: bytes) -> None:
        assert len(data) <= self.room(stream)
        self._streams[stream].may_send -= len(data)
        self._say(Kind.DATA, stream, data)

    def end(self, stream: int) -> None:
        if (state := self._streams.get(stream)) is not None and not state.sent_end:
            state.sent_end = True
            self._say(Kind.END, stream)
            self._drop_if_over(stream, state)

    def reset(self, stream: int) -> None:
        if self._streams.pop(stream, None) is not None:
            self._say(Kind.RESET, stream)

    def take(self, stream: int, amount: int) -> None:
        """The reader has taken this much of what DATA events brought; the sender hears of it by the half window."""
        if (state := self._streams.get(stream)) is None or state.received_end:
            return
        state.taken += amount
        if state.taken >= WINDOW // 2:
            self._say(Kind.CREDIT, stream, _AMOUNT.pack(state.taken))
            state.expected += state.taken
            state.taken = 0

    def ping(self) -> None:
        self._say(Kind.PING, 0)

    def receive(self, data: bytes) -> Iterator[Event]:
        """What these bytes, after those that came before, mean; to be read to the end. Raises: Violation."""
        data = self._rest + data
        at, size = 0, len(data)
        while size - at >= _HEAD.size:
            code, length, stream = _HEAD.unpack_from(data, at)
            end = at + _HEAD.size + length
            if not 1 <= code <= len(Kind) or length > _LONGEST[code]:
                raise Violation(f"kind {code} with {length} bytes")
            if end > size:
                break
            if (event := self._understood(Kind(code), stream, data[at + _HEAD.size : end])) is not None:
                yield event
            at = end
        self._rest = data[at:]

    def _understood(self, kind: Kind, stream: int, content: bytes) -> Event | None:
        if kind is Kind.PING:
            self._say(Kind.PONG, 0)
            return Event(kind, 0)
        if kind is Kind.PONG:
            return Event(kind, 0)
        if kind is Kind.OPEN:
            return self._opened(stream, content)
        state = self._streams.get(stream)
        if state is None:
            if not 0 < stream <= self._last:
                raise Violation(f"{kind.name} for stream {stream}, which was never opened")
            return None
        self._on_stream(kind, stream, state, content)
        return Event(kind, stream, content)

    def _on_stream(self, kind: Kind, stream: int, state: _Stream, content: bytes) -> None:
        """Raises: Violation."""
        match kind:
            case Kind.DATA:
                state.expected -= len(content)
                if state.received_end or state.expected < 0:
                    raise Violation(f"stream {stream}: data beyond {'its end' if state.received_end else 'the window'}")
            case Kind.END:
                state.received_end = True
                self._drop_if_over(stream, state)
            case Kind.RESET:
                del self._streams[stream]
            case Kind.CREDIT:
                if len(content) != _AMOUNT.size:
                    raise Violation("credit without an amount")
                state.may_send += _AMOUNT.unpack(content)[0]
                if state.may_send > WINDOW:
                    raise Violation(f"stream {stream}: more credit than was used")

    def _opened(self, stream: int, to: bytes) -> Event | None:
        if self._is_opener or stream <= self._last:
            raise Violation(f"stream {stream} cannot be opened")
        self._last = stream
        if len(self._streams) >= MOST_STREAMS:
            self._say(Kind.RESET, stream)
            return None
        self._streams[stream] = _Stream()
        return Event(Kind.OPEN, stream, to)

    def _drop_if_over(self, stream: int, state: _Stream) -> None:
        if state.sent_end and state.received_end:
            del self._streams[stream]

    def _say(self, kind: Kind, stream: int, content: bytes = b"") -> None:
        self.out += _HEAD.pack(kind, len(content), stream)
        self.out += content


_LONGEST = {kind: 0 for kind in Kind} | {Kind.OPEN: MOST_TO, Kind.DATA: MOST_DATA, Kind.CREDIT: _AMOUNT.size}
