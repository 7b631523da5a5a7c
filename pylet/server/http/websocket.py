"""An answer as WebSocket messages (RFC 6455), for clients in browsers: one stream to the client, nothing from it.

Source: upstream `k8s.io/streaming/pkg/httpstream/wsstream/stream.go`.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib

from aiohttp import web

from pylet.api.errors import BadRequest
from pylet.server.http.answer import Streamed

_MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_PLAIN = ("", "binary.k8s.io")
_BASE64 = "base64.binary.k8s.io"
_TEXT, _BINARY, _CLOSE = 0x81, 0x82, 0x88
_NORMAL = b"\x03\xe8"
_MOST = 2048  # of a message, before base64


def is_wanted(http: web.BaseRequest) -> bool:
    upgrade, connection = http.headers.get("Upgrade", ""), http.headers.get("Connection", "")
    return upgrade.lower() == "websocket" and "upgrade" in connection.lower()


class Messages:
    """Like an answer's `Stream`; opens with an empty message, as a sign of life.

    Raises: BadRequest for a handshake that cannot be answered.
    """

    def __init__(self, http: web.BaseRequest) -> None:
        key, version = http.headers.get("Sec-WebSocket-Key"), http.headers.get("Sec-WebSocket-Version")
        asked = [name.strip() for name in http.headers.get("Sec-WebSocket-Protocol", "").split(",")]
        chosen = next((name for name in asked if name in (*_PLAIN, _BASE64)), None)
        if not key or version != "13" or chosen is None:
            raise BadRequest("not a WebSocket handshake of version 13 with a known protocol")
        if http.transport is None:
            raise ConnectionResetError
        self._transport = http.transport
        self._is_text = chosen == _BASE64
        self._deaf = _Deaf(http)
        accepted = base64.b64encode(hashlib.sha1((key + _MAGIC).encode()).digest()).decode()
        lines = ["HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade"]
        lines += [f"Sec-WebSocket-Accept: {accepted}", *([f"Sec-WebSocket-Protocol: {chosen}"] if chosen else [])]
        self._transport.set_protocol(self._deaf)
        self._transport.write("\r\n".join((*lines, "\r\n")).encode() + self._message(b""))

    async def write(self, data: bytes) -> None:
        """Raises: ConnectionResetError when the client has gone."""
        for begin in range(0, len(data), _MOST):
            await self._deaf.has_room.wait()
            if self._transport.is_closing():
                raise ConnectionResetError
            self._transport.write(self._message(data[begin : begin + _MOST]))

    def end(self) -> Streamed:
        if not self._transport.is_closing():
            self._transport.write(_frame(_CLOSE, _NORMAL))
            self._transport.close()
        return Streamed(101, keep_alive=False)

    def _message(self, data: bytes) -> bytes:
        return _frame(_TEXT, base64.b64encode(data)) if self._is_text else _frame(_BINARY, data)


class _Deaf(asyncio.Protocol):
    """What the client says is ignored, but for its leaving."""

    def __init__(self, http: web.BaseRequest) -> None:
        self._http = http
        self.has_room = asyncio.Event()
        self.has_room.set()

    def data_received(self, data: bytes) -> None:
        if data and data[0] == _CLOSE and self._http.transport is not None:
            self._http.transport.close()

    def pause_writing(self) -> None:
        self.has_room.clear()

    def resume_writing(self) -> None:
        self.has_room.set()

    def connection_lost(self, error: Exception | None) -> None:
        self.has_room.set()
        self._http.protocol.connection_lost(error)


def _frame(opcode: int, data: bytes) -> bytes:
    length = bytes((len(data),)) if len(data) < 126 else b"\x7e" + len(data).to_bytes(2, "big")
    return bytes((opcode,)) + length + data
