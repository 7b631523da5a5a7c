"""Turning one HTTP request into a connection both sides write to: the beginning of WebSocket."""

from __future__ import annotations

import json
import socket
from collections.abc import Sequence

from pylet.api.errors import ApiError, RemoteError, from_status
from pylet.cli.kubectl.http import Api, ConnectionFailed


class Closed(Exception):
    """The peer ended the connection."""


class Receiver:
    """Takes exact numbers of bytes off a socket."""

    def __init__(self, peer: socket.socket) -> None:
        self._socket = peer
        self._buffer = bytearray()

    def take(self, count: int) -> bytes:
        """Raises: Closed between two takes, ConnectionFailed within one."""
        while len(self._buffer) < count:
            self._more()
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def take_through(self, mark: bytes) -> bytes:
        """Everything before `mark`, which goes, too."""
        while mark not in self._buffer:
            self._more()
        taken = self.take(self._buffer.index(mark))
        self.take(len(mark))
        return taken

    def _more(self) -> None:
        try:
            data = self._socket.recv(65536)
        except OSError:
            data = b""
        if not data:
            if not self._buffer:
                raise Closed
            raise ConnectionFailed("error: lost connection to the server")
        self._buffer += data


def upgrade(
    api: Api, method: str, target: str, lines: Sequence[str], peer: socket.socket, receiver: Receiver
) -> dict[str, str]:
    """The headers of the answer, by names in lower case. Raises: ApiError for a refusal, Closed, ConnectionFailed."""
    head = [
        f"{method} {target} HTTP/1.1",
        f"Host: {api.endpoint.host}:{api.endpoint.port}",
        "Connection: Upgrade",
        *lines,
        *(f"{name}: {value}" for name, value in api.headers()),
    ]
    peer.sendall("\r\n".join([*head, "", ""]).encode())
    status, *fields = receiver.take_through(b"\r\n\r\n").decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
    code = int(status.split()[1])
    if code != 101:
        text = receiver.take(int(headers.get("content-length") or 0)).decode(errors="replace")
        raise _refusal(code, text)
    return headers


def _refusal(code: int, text: str) -> ApiError:
    try:
        answer = json.loads(text)
    except ValueError:
        answer = None
    if isinstance(answer, dict) and answer.get("kind") == "Status":
        return from_status(answer)
    return RemoteError({"message": f"unable to upgrade connection: {text.strip() or code}", "code": code})
