"""HTTP/2 (RFC 9113) as gRPC speaks it, either side of one connection: bytes come in, events and bytes go out. No I/O.

What a peer sends is bounded for each stream, and it may go on as its reader takes what came (`took`). Nothing is
pushed, no priorities, no upgrade from HTTP/1.
"""

from __future__ import annotations

import struct
from collections import deque
from dataclasses import dataclass, field
from enum import IntEnum
from typing import NamedTuple, TypeAlias

from pylet.cri import headerblock

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
WINDOW_BYTES = 17 << 20
"""What of one stream may be under way unread: a message of 16 MiB and its frame."""

_FRAME_BYTES = 16384
_BLOCK_BYTES = 64 << 10
_ACKNOWLEDGE_BYTES = 1 << 20
_STREAMS = 250
_FIRST_WINDOW = 65535
_LARGEST = (1 << 31) - 1
_HEAD = struct.Struct(">HBBBI")
_END_STREAM, _ACK, _END_HEADERS, _PADDED, _PRIORITY = 0x1, 0x1, 0x4, 0x8, 0x20
_TABLE_SIZE, _PUSH, _MOST_STREAMS, _INITIAL_WINDOW, _MOST_BYTES = range(1, 6)


class Frame(IntEnum):
    DATA = 0
    HEADERS = 1
    PRIORITY = 2
    RESET = 3
    SETTINGS = 4
    PUSH_PROMISE = 5
    PING = 6
    GO_AWAY = 7
    WINDOW_UPDATE = 8
    CONTINUATION = 9


class Code(IntEnum):
    NO_ERROR = 0
    PROTOCOL_ERROR = 1
    FLOW_CONTROL_ERROR = 3
    FRAME_SIZE_ERROR = 6
    REFUSED_STREAM = 7
    CANCEL = 8
    COMPRESSION_ERROR = 9
    ENHANCE_YOUR_CALM = 11


class ProtocolError(Exception):
    """The peer broke the protocol: what there is to send says so, and then the connection is of no use."""

    def __init__(self, why: str, code: Code = Code.PROTOCOL_ERROR) -> None:
        super().__init__(why)
        self.code = code


class Headers(NamedTuple):
    stream: int
    fields: dict[str, str]
    is_last: bool


class Data(NamedTuple):
    stream: int
    content: bytes
    is_last: bool


class Reset(NamedTuple):
    """The stream is over; with REFUSED_STREAM the peer has not looked at it."""

    stream: int
    code: int


class GoingAway(NamedTuple):
    """No more streams can be opened; `Reset` tells of those that the peer will not look at."""

    why: str


Event: TypeAlias = Headers | Data | Reset | GoingAway


@dataclass(slots=True)
class _Stream:
    window: int
    head: bytes = b""
    body: memoryview = field(default_factory=lambda: memoryview(b""))
    trailers: bytes = b""
    has_sent: bool = False
    has_received: bool = False
    unread: int = 0
    read: int = 0


class Connection:
    """`take` is what must be sent, after every other call; streams are gone when both sides have ended them."""

    def __init__(self, *, is_client: bool) -> None:
        self._is_client = is_client
        self._headers = headerblock.Reader(_BLOCK_BYTES)
        self._input = bytearray()
        self._output: list[bytes] = [PREFACE] if is_client else []
        self._preface = b"" if is_client else PREFACE
        self._streams: dict[int, _Stream] = {}
        self._waiting: deque[int] = deque()
        self._next, self._latest = 1, 0
        self._window, self._first_window, self._frame_bytes = _FIRST_WINDOW, _FIRST_WINDOW, _FRAME_BYTES
        self._most_streams = _LARGEST
        self._block: tuple[int, bool, bytearray] | None = None
        self._unacknowledged = 0
        settings = [(_INITIAL_WINDOW, WINDOW_BYTES), (_PUSH, 0) if is_client else (_MOST_STREAMS, _STREAMS)]
        self._frame(Frame.SETTINGS, 0, 0, b"".join(struct.pack(">HI", *setting) for setting in settings))
        self._frame(Frame.WINDOW_UPDATE, 0, 0, struct.pack(">I", _LARGEST - _FIRST_WINDOW))

    def take(self) -> bytes:
        output = b"".join(self._output)
        self._output.clear()
        return output

    # ---- sending

    def request(self, head: bytes, body: bytes) -> int:
        """The new stream, which ends with `body`; it waits where the peer allows no more streams at a time."""
        stream, self._next = self._next, self._next + 2
        self._streams[stream] = _Stream(self._first_window, head, memoryview(body))
        self._waiting.append(stream)
        self._open()
        return stream

    def respond(self, stream: int, head: bytes, body: bytes, trailers: bytes) -> None:
        """`trailers` end the stream; b"" where `head` does."""
        found = self._streams.get(stream)
        if found is not None:
            self._frame(Frame.HEADERS, _END_HEADERS | (0 if trailers else _END_STREAM), stream, head)
            found.body, found.trailers = memoryview(body), trailers
            if trailers:
                self._pump(stream, found)
            else:
                self._sent(stream, found)

    def took(self, stream: int, size: int) -> None:
        """So much of the stream's data has been read: the peer may send as much again."""
        found = self._streams.get(stream)
        if found is not None:
            found.read += size
            if found.read >= _ACKNOWLEDGE_BYTES and not found.has_received:
                found.unread -= found.read
                self._frame(Frame.WINDOW_UPDATE, 0, stream, struct.pack(">I", found.read))
                found.read = 0

    def cancel(self, stream: int) -> None:
        if stream in self._streams:
            self._reset(stream, Code.CANCEL)

    def _open(self) -> None:
        while self._waiting and len(self._streams) - len(self._waiting) < self._most_streams:
            stream = self._waiting.popleft()
            found = self._streams[stream]
            self._frame(Frame.HEADERS, _END_HEADERS, stream, found.head)
            found.head = b""
            self._pump(stream, found)

    def _pump(self, stream: int, found: _Stream) -> None:
        """Send of the stream what its and the connection's window let through."""
        while (size := min(len(found.body), found.window, self._window, self._frame_bytes)) > 0:
            chunk, found.body = found.body[:size], found.body[size:]
            found.window -= size
            self._window -= size
            is_last = not found.body and not found.trailers
            self._frame(Frame.DATA, _END_STREAM if is_last else 0, stream, bytes(chunk))
        if not found.body:
            if found.trailers:
                self._frame(Frame.HEADERS, _END_HEADERS | _END_STREAM, stream, found.trailers)
            self._sent(stream, found)

    def _sent(self, stream: int, found: _Stream) -> None:
        found.has_sent = True
        if found.has_received:
            self._close(stream)

    def _reset(self, stream: int, code: Code) -> None:
        if stream in self._waiting:
            self._waiting.remove(stream)
        else:
            self._frame(Frame.RESET, 0, stream, struct.pack(">I", code))
        self._close(stream)

    def _close(self, stream: int) -> None:
        self._streams.pop(stream, None)
        self._open()

    def _frame(self, kind: Frame, flags: int, stream: int, payload: bytes) -> None:
        self._output += (_HEAD.pack(len(payload) >> 8, len(payload) & 0xFF, kind, flags, stream), payload)

    # ---- receiving

    def receive(self, data: bytes) -> list[Event]:
        """Raises: ProtocolError."""
        self._input += data
        events: list[Event] = []
        position = 0
        try:
            if self._preface:
                if not self._preface.startswith(self._input[: len(self._preface)]):
                    raise ProtocolError("no HTTP/2 preface")
                if len(self._input) < len(self._preface):
                    return events
                position, self._preface = len(self._preface), b""
            while len(self._input) - position >= _HEAD.size:
                high, low, kind, flags, stream = _HEAD.unpack_from(self._input, position)
                size = high << 8 | low
                if size > _FRAME_BYTES:
                    raise ProtocolError(f"a frame of {size} bytes", Code.FRAME_SIZE_ERROR)
                end = position + _HEAD.size + size
                if end > len(self._input):
                    break
                payload = bytes(memoryview(self._input)[position + _HEAD.size : end])
                position = end
                self._received(kind, flags, stream & _LARGEST, payload, events)
        except (struct.error, IndexError) as broken:
            failure = ProtocolError(str(broken))
            self._give_up(failure)
            raise failure from broken
        except ProtocolError as broken:
            self._give_up(broken)
            raise
        finally:
            del self._input[:position]
        return events

    def _give_up(self, broken: ProtocolError) -> None:
        self._frame(Frame.GO_AWAY, 0, 0, struct.pack(">II", self._latest, broken.code) + str(broken).encode())

    def _received(self, kind: int, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        if self._block is not None and (kind != Frame.CONTINUATION or stream != self._block[0]):
            raise ProtocolError("a header block was interrupted")
        match kind:
            case Frame.DATA:
                self._data(flags, stream, payload, events)
            case Frame.HEADERS:
                content = _content(flags, payload)
                if flags & _PRIORITY:
                    content = content[5:]
                self._block = stream, bool(flags & _END_STREAM), bytearray()
                self._header_block(flags, content, events)
            case Frame.CONTINUATION if self._block is not None:
                self._header_block(flags, payload, events)
            case Frame.RESET:
                (code,) = struct.unpack(">I", payload)
                if stream in self._waiting:
                    raise ProtocolError("a stream was reset that is not open")
                if self._streams.pop(stream, None) is not None:
                    events.append(Reset(stream, code))
                    self._open()
            case Frame.SETTINGS if not flags & _ACK:
                self._settings(payload)
            case Frame.PING if not flags & _ACK:
                self._frame(Frame.PING, _ACK, 0, payload)
            case Frame.GO_AWAY:
                self._going_away(payload, events)
            case Frame.WINDOW_UPDATE:
                (more,) = struct.unpack(">I", payload)
                self._may_send(stream, more & _LARGEST)
            case Frame.PUSH_PROMISE | Frame.CONTINUATION:
                raise ProtocolError(f"an unexpected frame {Frame(kind).name}")

    def _data(self, flags: int, stream: int, payload: bytes, events: list[Event]) -> None:
        self._unacknowledged += len(payload)
        if self._unacknowledged >= _ACKNOWLEDGE_BYTES:
            self._frame(Frame.WINDOW_UPDATE, 0, 0, struct.pack(">I", self._unacknowledged))
            self._unacknowledged = 0
        found = self._streams.get(stream)
        if found is None or found.has_received:  # it was cancelled while this was on its way
            return
        found.unread += len(payload)
        if found.unread > WINDOW_BYTES:
            self._reset(stream, Code.FLOW_CONTROL_ERROR)
            events.append(Reset(stream, Code.FLOW_CONTROL_ERROR))
            return
        content = _content(flags, payload)
        found.read += len(payload) - len(content)
        events.append(Data(stream, content, bool(flags & _END_STREAM)))
        if flags & _END_STREAM:
            self._ended(stream, found)

    def _header_block(self, flags: int, part: bytes, events: list[Event]) -> None:
        assert self._block is not None
        stream, is_last, block = self._block
        block += part
        if len(block) > _BLOCK_BYTES:
            raise ProtocolError("too large a header block", Code.ENHANCE_YOUR_CALM)
        if not flags & _END_HEADERS:
            return
        self._block = None
        # Also where nobody reads them: what is decoded goes into the one table of all streams.
        try:
            fields = self._headers.read(bytes(block))
        except headerblock.Undecodable as broken:
            raise ProtocolError(str(broken), Code.COMPRESSION_ERROR) from broken
        if not self._is_client and stream > self._latest and stream % 2:
            self._latest = stream
            if len(self._streams) >= _STREAMS:
                self._frame(Frame.RESET, 0, stream, struct.pack(">I", Code.REFUSED_STREAM))
            else:
                self._streams[stream] = _Stream(self._first_window)
        found = self._streams.get(stream)
        if found is None or found.has_received:
            return
        events.append(Headers(stream, fields, is_last))
        if is_last:
            self._ended(stream, found)

    def _ended(self, stream: int, found: _Stream) -> None:
        found.has_received = True
        if found.has_sent:
            self._close(stream)
        elif self._is_client:  # answered before all was sent: the rest interests nobody
            self._reset(stream, Code.NO_ERROR)

    def _settings(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == _INITIAL_WINDOW:
                for found in self._streams.values():
                    found.window += value - self._first_window
                self._first_window = value
            elif name == _MOST_BYTES:
                self._frame_bytes = value
            elif name == _MOST_STREAMS:
                self._most_streams = value
        self._frame(Frame.SETTINGS, _ACK, 0, b"")
        self._open()
        self._pump_all()

    def _may_send(self, stream: int, more: int) -> None:
        if stream == 0:
            self._window += more
            self._pump_all()
        elif (found := self._streams.get(stream)) is not None:
            found.window += more
            if found.body:
                self._pump(stream, found)

    def _pump_all(self) -> None:
        for stream, found in list(self._streams.items()):
            if found.body and not found.head:
                self._pump(stream, found)

    def _going_away(self, payload: bytes, events: list[Event]) -> None:
        last, code = struct.unpack_from(">II", payload)
        why = payload[8:].decode(errors="replace") or (Code(code).name if code in list(Code) else f"code {code}")
        events.append(GoingAway(why))
        unseen = {stream for stream in self._streams if stream > last and self._is_client} | {*self._waiting}
        self._waiting.clear()
        for stream in sorted(unseen):
            del self._streams[stream]
            events.append(Reset(stream, Code.REFUSED_STREAM))


def _content(flags: int, payload: bytes) -> bytes:
    if not flags & _PADDED:
        return payload
    if payload[0] >= len(payload):
        raise ProtocolError("more padding than frame")
    return payload[1 : len(payload) - payload[0]]
