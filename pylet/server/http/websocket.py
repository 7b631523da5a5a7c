"""Answers as WebSocket messages (RFC 6455), for clients in browsers: one stream to the client, nothing from it.

Source: upstream `k8s.io/streaming/pkg/httpstream/wsstream/stream.go`, apiserver `pkg/endpoints/handlers/watch.go`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Iterator

from aiohttp import web

from pylet.api.errors import BadRequest
from pylet.server import audit
from pylet.server.http.answer import Streamed
from pylet.server.http.protocols import HEADER, offered

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PLAIN = ("", "binary.k8s.io")
_BASE64 = "base64.binary.k8s.io"
_TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x81, 0x82, 0x88, 0x89, 0x8A
_NORMAL = b"\x03\xe8"
_MOST = 2048  # of a log's message, before base64


def message(data: bytes, *, is_text: bool) -> bytes:
    """As it is sent."""
    return _frame(_TEXT if is_text else _BINARY, data)


class _Opened:
    """A connection that speaks messages from now on. Raises: BadRequest for a handshake that cannot be answered."""

    def __init__(self, http: web.BaseRequest, protocol: str | None) -> None:
        key, version = http.headers.get("Sec-WebSocket-Key"), http.headers.get("Sec-WebSocket-Version")
        if not key or version != "13" or protocol is None:
            raise BadRequest("not a WebSocket handshake of version 13 with a known protocol")
        if http.transport is None:
            raise ConnectionResetError
        self.transport = http.transport
        self._deaf = _Deaf(http)
        accepted = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accepted}", *([f"{HEADER}: {protocol}"] if protocol else [])]
        self.transport.set_protocol(self._deaf)
        self.transport.write("\r\n".join((*lines, "\r\n")).encode())
        audit.started(101)

    async def _has_room(self) -> None:
        """Raises: ConnectionResetError when the client has gone."""
        await self._deaf.has_room.wait()
        if self.transport.is_closing():
            raise ConnectionResetError

    def end(self) -> Streamed:
        if not self.transport.is_closing():
            self.transport.write(_frame(_CLOSE, _NORMAL))
            self.transport.close()
        return Streamed(101, keep_alive=False)


class Messages(_Opened):
    """Like an answer's `Stream`; opens with an empty message, as a sign of life."""

    def __init__(self, http: web.BaseRequest) -> None:
        chosen = next((name for name in offered(http) if name in (*_PLAIN, _BASE64)), None)
        super().__init__(http, chosen)
        self._is_text = chosen == _BASE64
        self.transport.write(self._message(b""))

    async def write(self, data: bytes) -> None:
        """Raises: ConnectionResetError when the client has gone."""
        for begin in range(0, len(data), _MOST):
            await self._has_room()
            self.transport.write(self._message(data[begin : begin + _MOST]))

    def _message(self, data: bytes) -> bytes:
        return message(base64.b64encode(data) if self._is_text else data, is_text=self._is_text)


class Events(_Opened):
    """Like an answer's `Stream`, for a watch: what is written consists of messages already, one for each event."""

    def __init__(self, http: web.BaseRequest) -> None:
        asked = offered(http)
        super().__init__(http, asked[0] if len(asked) == 1 else None)

    async def write(self, data: bytes) -> None:
        """Raises: ConnectionResetError when the client has gone."""
        await self._has_room()
        self.write_now(data)

    def write_now(self, data: bytes) -> None:
        self.transport.write(data)

    @staticmethod
    def framed(data: bytes) -> bytes:
        return data


class _Deaf(asyncio.Protocol):
    """What the client says is ignored, but for its leaving and its asking whether anybody is there."""

    def __init__(self, http: web.BaseRequest) -> None:
        self._http = http
        self._heard = bytearray()
        self._to_skip = 0
        self.has_room = asyncio.Event()
        self.has_room.set()

    def data_received(self, data: bytes) -> None:
        transport = self._http.transport
        if transport is None:
            return
        answers: list[bytes] = []
        for opcode, said in self._controls(data):
            if opcode == _PING:
                answers.append(_frame(_PONG, said))
            elif opcode == _CLOSE:
                transport.write(b"".join((*answers, _frame(_CLOSE, said[:2]))))
                transport.close()
                return
        if answers:
            transport.write(b"".join(answers))

    def pause_writing(self) -> None:
        self.has_room.clear()
        if self._http.transport is not None:
            self._http.transport.pause_reading()  # what is answered to pings waits in memory, too

    def resume_writing(self) -> None:
        self.has_room.set()
        if self._http.transport is not None:
            self._http.transport.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self.has_room.set()
        self._http.protocol.connection_lost(error)

    def _controls(self, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Control frames and what they carry; the contents of all others are skipped, however long."""
        self._heard += data
        while True:
            skipped = min(self._to_skip, len(self._heard))
            del self._heard[:skipped]
            self._to_skip -= skipped
            heard = self._heard
            if len(heard) < 2:
                return
            length, more = heard[1] & 0x7F, {126: 2, 127: 8}.get(heard[1] & 0x7F, 0)
            begin = 2 + more + (4 if heard[1] & 0x80 else 0)
            if len(heard) < begin + (0 if more else length):
                return
            if heard[0] & 0x08 and not more:
                mask, said = heard[begin - 4 : begin], heard[begin : begin + length]
                yield heard[0], _masked(said, mask) if heard[1] & 0x80 else bytes(said)
            self._to_skip = begin + (int.from_bytes(heard[2 : 2 + more], "big") if more else length)


def _masked(data: bytearray, mask: bytearray) -> bytes:
    key = (bytes(mask) * (len(data) // 4 + 1))[: len(data)]
    return (int.from_bytes(data) ^ int.from_bytes(key)).to_bytes(len(data))


def _frame(opcode: int, data: bytes) -> bytes:
    size = len(data)
    if size < 126:
        return bytes((opcode, size)) + data
    length = b"\x7e" + size.to_bytes(2, "big") if size < 1 << 16 else b"\x7f" + size.to_bytes(8, "big")
    return bytes((opcode,)) + length + data
