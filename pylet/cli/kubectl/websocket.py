"""A thin blocking WebSocket client (RFC 6455) on one socket: what exec, attach and port-forward speak.

Binary messages only; the first byte of each is the channel, as `*.channel.k8s.io` defines. Reading and writing may
happen in two threads, each kind in one at a time.
"""

from __future__ import annotations

import base64
import contextlib
import os
import socket
import struct
import threading
from collections.abc import Sequence

from pylet.cli.kubectl.http import Api
from pylet.cli.kubectl.upgrade import Closed, Receiver, upgrade

_CONTINUATION, _BINARY, _CLOSE, _PING, _PONG = 0, 2, 8, 9, 10
_TEXT = 1


class WebSocket:
    """Connected when made. Raises: ApiError for a refusal, ConnectionFailed."""

    def __init__(self, api: Api, target: str, protocols: Sequence[str]) -> None:
        self._socket = api.connect()
        self._receiver = Receiver(self._socket)
        self._sending = threading.Lock()
        self.protocol = self._handshake(api, target, protocols)

    def _handshake(self, api: Api, target: str, protocols: Sequence[str]) -> str:
        lines = [
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Key: {base64.b64encode(os.urandom(16)).decode()}",
            f"Sec-WebSocket-Protocol: {', '.join(protocols)}",
        ]
        headers = upgrade(api, "GET", target, lines, self._socket, self._receiver)
        return headers.get("sec-websocket-protocol", "")

    def receive(self) -> bytes:
        """The next whole message. Raises: Closed, ConnectionFailed."""
        message = b""
        while True:
            first, second = self._receiver.take(2)
            length = second & 0x7F
            if length == 126:
                (length,) = struct.unpack(">H", self._receiver.take(2))
            elif length == 127:
                (length,) = struct.unpack(">Q", self._receiver.take(8))
            payload = self._receiver.take(length)
            match first & 0x0F:
                case 8:
                    raise Closed
                case 9:
                    self._send(_PONG, payload)
                case 0 | 1 | 2:
                    message += payload
                    if first & 0x80:
                        return message

    def send(self, data: bytes) -> None:
        """Raises: Closed."""
        self._send(_BINARY, data)

    def _send(self, opcode: int, payload: bytes) -> None:
        length = len(payload)
        if length < 126:
            head = struct.pack(">BB", 0x80 | opcode, 0x80 | length)
        elif length < 65536:
            head = struct.pack(">BBH", 0x80 | opcode, 0xFE, length)
        else:
            head = struct.pack(">BBQ", 0x80 | opcode, 0xFF, length)
        # The mask only has to hide bytes from proxies; TLS does: a mask of zeros leaves them as they are.
        try:
            with self._sending:
                self._socket.sendall(head + b"\x00\x00\x00\x00" + payload)
        except OSError:
            raise Closed from None

    def close(self) -> None:
        with contextlib.suppress(Closed):
            self._send(_CLOSE, struct.pack(">H", 1000))
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
