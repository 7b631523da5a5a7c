"""The SPDY client against a peer that speaks frames: what it sends, and what it understands."""

from __future__ import annotations

import socket
import struct
import threading
import zlib
from typing import Any

import pytest

from pylet.api.errors import ApiError
from pylet.cli.kubectl import spdy
from pylet.cli.kubectl.upgrade import Closed

CHANNELS = {3: "error", 0: "stdin", 1: "stdout"}


class Api:
    """One end of a pair of sockets for an API; the test holds the other."""

    def __init__(self) -> None:
        self.near, self.peer = socket.socketpair()

        class Endpoint:
            host, port = "server", 1

        self.endpoint = Endpoint()

    def connect(self) -> socket.socket:
        return self.near

    def headers(self) -> dict[str, str]:
        return {"Authorization": "Bearer x"}


def _read(peer: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        data += peer.recv(count - len(data))
    return data


def _connected(answer: bytes = b"HTTP/1.1 101 Switching Protocols\r\n\r\n") -> tuple[Any, socket.socket, list[bytes]]:
    api: Any = Api()
    asked: list[bytes] = []

    def accept() -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += api.peer.recv(1)
        asked.append(request)
        api.peer.sendall(answer)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        connection = spdy.Connection(api, "/exec?command=ls", CHANNELS)
    finally:
        thread.join()
    return connection, api.peer, asked


def _opened(peer: socket.socket) -> dict[int, str]:
    """The streams the client opens, with their types."""
    inflate = zlib.decompressobj()
    found = {}
    for _ in CHANNELS:
        first, second = struct.unpack(">II", _read(peer, 8))
        assert first == 0x80030001
        payload = _read(peer, second & 0xFFFFFF)
        block = inflate.decompress(payload[10:])
        found[struct.unpack(">I", payload[:4])[0]] = block[-(struct.unpack(">I", block[18:22])[0]) :].decode()
    return found


def test_a_stream_is_opened_for_each_channel() -> None:
    _, peer, asked = _connected()
    assert asked[0].startswith(b"POST /exec?command=ls HTTP/1.1\r\nHost: server:1\r\n")
    assert b"Upgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in asked[0]
    assert _opened(peer) == {1: "error", 3: "stdin", 5: "stdout"}


def test_data_goes_both_ways_and_input_can_end() -> None:
    connection, peer, _ = _connected()
    _opened(peer)
    connection.send(0, b"in")
    connection.end(0)
    assert _read(peer, 18) == struct.pack(">II", 3, 2) + b"in" + struct.pack(">II", 3, 1 << 24)
    peer.sendall(struct.pack(">II", 0x80030006, 4) + b"ping" + struct.pack(">II", 5, 3) + b"out")
    assert connection.receive() == (1, b"out")
    assert _read(peer, 12) == struct.pack(">II", 0x80030006, 4) + b"ping"
    for stream in (1, 3, 5):
        peer.sendall(struct.pack(">II", stream, 1 << 24))
    with pytest.raises(Closed):
        connection.receive()


def test_a_refusal_is_an_api_error() -> None:
    body = b'{"kind": "Status", "reason": "Forbidden", "message": "no", "code": 403}'
    head = f"HTTP/1.1 403 Forbidden\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with pytest.raises(ApiError, match="no"):
        _connected(head + body)
