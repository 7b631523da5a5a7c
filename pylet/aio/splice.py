"""Join two connections so that each gets the other's bytes, with back-pressure both ways and no task in between.

Used where an HTTP Upgrade passes through: whatever is spoken after it (WebSocket, SPDY/3.1) is not looked at.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast


class Side(asyncio.Protocol):
    """One end: what arrives here is written to `peer`, once there is one."""

    def __init__(self, ended: asyncio.Event, peer: asyncio.Transport | None = None) -> None:
        self.own: asyncio.Transport | None = None
        self.peer = peer
        self.has_finished = False
        self._early = b""  # uvloop reads whatever connection_made says
        self._ended = ended

    def join(self, peer: asyncio.Transport) -> None:
        self.peer = peer
        peer.write(self._early)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.own = cast(asyncio.Transport, transport)  # uvloop's are none

    def data_received(self, data: bytes) -> None:
        if self.peer is None:
            self._early += data
        elif not self.peer.is_closing():
            self.peer.write(data)

    def eof_received(self) -> bool:
        if self.peer is None or self.peer.is_closing():
            return False
        if not (self.own and self.own.can_write_eof() and self.peer.can_write_eof()):
            return False  # TLS knows no half-closed connection: all of it ends
        self.has_finished = True
        self.peer.write_eof()
        return not cast(Side, self.peer.get_protocol()).has_finished

    def pause_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.pause_reading()

    def resume_writing(self) -> None:
        if self.peer is not None and not self.peer.is_closing():
            self.peer.resume_reading()

    def connection_lost(self, error: Exception | None) -> None:
        self._ended.set()
        if self.peer is not None:
            self.peer.close()


async def splice(
    near: asyncio.Transport | socket.socket,
    host: str,
    port: int,
    head: bytes,
    *,
    tls: ssl.SSLContext | None = None,
    server_hostname: str | None = None,
    connect: Callable[..., Awaitable[Any]] | None = None,
) -> None:
    """Connect to `host:port`, send `head`, then join that connection with `near` until either ends.

    `connect` is the way to connect where it is not the loop's `create_connection`.
    `near` gives up the protocol it had; both are closed at the end. Raises: OSError when connecting fails, while `near`
    is still as it was.
    """
    loop, ended = asyncio.get_running_loop(), asyncio.Event()
    connect = connect or loop.create_connection
    far, far_side = await connect(lambda: Side(ended), host, port, ssl=tls, server_hostname=server_hostname)
    near_side = Side(ended, far)
    try:
        far.write(head)
        if isinstance(near, socket.socket):
            near, _ = await loop.connect_accepted_socket(lambda: near_side, near)
        else:
            near_side.own = near
            near.set_protocol(near_side)
            if not near.is_reading():
                near.resume_reading()
        far_side.join(near)
        await ended.wait()
    finally:
        near.close()
        far.close()
