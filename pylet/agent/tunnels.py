"""Keeps one connection to each API server, by which that reaches this node whatever stands between them.

Who connects is proved by the node's certificate. What the server opens in a tunnel ends at the kubelet's own listener
or in a pod of this node, where that uses the node's network at a port that it declares: nothing else of this machine
or of its network can be reached by it.
"""

from __future__ import annotations

import asyncio
import logging
import random
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast
from urllib.parse import urlsplit

from pylet.aio.clock import Clock
from pylet.aio.splice import splice
from pylet.aio.tunnel import Tunnel
from pylet.client.servers import Servers
from pylet.version import VERSION

log = logging.getLogger(__name__)

_SILENCE_SECONDS = 15.0  # a tunnel in which nothing happens is asked every second time: each 30 s
_CONNECT_SECONDS = 15.0
_APART_SECONDS = 0.5  # what comes to the same server twice shall see that
_BACKOFF_SECONDS = (0.5, 60.0)
_REQUEST = """\
GET /v1-pylet/connect HTTP/1.1\r
Host: {host}\r
User-Agent: pylet/{version}\r
Connection: Upgrade\r
Upgrade: pylet-tunnel-1\r
Pylet-Held: {held}\r
\r
"""
_HEAD_BYTES = 16 << 10


class Tunnels:
    """`tls` is asked before each connection; `serve` gets the kubelet's end of a stream, `has_pod` says whether a pod
    of this node is at an address and port."""

    def __init__(
        self,
        servers: Servers,
        tls: Callable[[], ssl.SSLContext],
        serve: Callable[[socket.socket], Awaitable[None]],
        has_pod: Callable[[str, int], bool],
        clock: Clock,
    ) -> None:
        self._servers = servers
        self._tls = tls
        self._serve = serve
        self._has_pod = has_pod
        self._clock = clock
        self._held: dict[str, asyncio.Future[str]] = {}  # by the server's own name: why it ended

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            kept: dict[str, asyncio.Task[None]] = {}
            while True:
                urls = self._servers.urls
                for url in kept.keys() - set(urls):
                    kept.pop(url).cancel()
                for url in urls:
                    if url not in kept:
                        kept[url] = group.create_task(self._keep(url, group), name=f"tunnel {url}")
                        await self._clock.sleep(_APART_SECONDS)
                await self._servers.changed()

    async def _keep(self, url: str, group: asyncio.TaskGroup) -> None:
        shortest, longest = _BACKOFF_SECONDS
        delay = shortest
        while True:
            began = self._clock.monotonic()
            try:
                why = await self._connected(url, group)
            except _Held as held:
                why = str(held)
                if self._held:
                    await asyncio.wait(self._held.values(), return_when=asyncio.FIRST_COMPLETED)
            except (OSError, TimeoutError) as failed:
                why = str(failed) or "no answer in time"
            if self._clock.monotonic() - began > longest:
                delay = shortest
            log.log(
                logging.WARNING if delay == shortest else logging.DEBUG,
                "no tunnel to %s: %s; trying again in %.1f s",
                url,
                why,
                delay,
            )
            await self._clock.sleep(delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, longest)

    async def _connected(self, url: str, group: asyncio.TaskGroup) -> str:
        """Be connected, until that ends: why. Raises: OSError, TimeoutError."""
        loop = asyncio.get_running_loop()
        ended: asyncio.Future[str] = loop.create_future()

        def accept(stream: socket.socket, to: bytes) -> None:
            group.create_task(self._served(stream, to.decode("latin-1")))

        def lost(why: str) -> None:
            if not ended.done():
                ended.set_result(why)

        tunnel = Tunnel(silence_seconds=_SILENCE_SECONDS, accept=accept, lost=lost)
        try:
            async with asyncio.timeout(_CONNECT_SECONDS):
                server = await self._upgraded(url, tunnel)
            self._held[server] = ended
            try:
                log.info("%s reaches this node through a tunnel", url)
                return await ended
            finally:
                if self._held.get(server) is ended:
                    del self._held[server]
        finally:
            tunnel.close()

    async def _upgraded(self, url: str, tunnel: Tunnel) -> str:
        """Make a connection the tunnel's; the name of the server. Raises: OSError, _Held."""
        loop = asyncio.get_running_loop()
        to = urlsplit(url)
        transport, upgrade = await loop.create_connection(
            lambda: _Upgrade(tunnel, loop.create_future()), to.hostname or "", to.port or 443, ssl=self._tls()
        )
        try:
            held = ",".join(self._held)
            transport.write(_REQUEST.format(host=to.netloc, version=VERSION, held=held).encode())
            return await upgrade.server
        except BaseException:
            transport.abort()
            raise

    async def _served(self, stream: socket.socket, to: str) -> None:
        try:
            await (self._joined(stream, to) if to else self._serve(stream))
        except OSError as failed:  # TLS that fails is one, too
            stream.close()
            log.debug("a stream of a tunnel: %s", failed)

    async def _joined(self, stream: socket.socket, to: str) -> None:
        """Be the way to the `address port` of a pod, until that ends. Raises: OSError."""
        address, _, text = to.rpartition(" ")
        port = int(text)
        if not self._has_pod(address, port):
            raise ConnectionRefusedError(f"no pod of this node is at {to!r}")
        await splice(stream, address, port, b"", connect=_connect)


async def _connect(*to: Any, **about: Any) -> Any:
    async with asyncio.timeout(_CONNECT_SECONDS):
        return await asyncio.get_running_loop().create_connection(*to, **about)


class _Held(Exception):
    """There is a tunnel to this server already, by another of its addresses."""


class _Upgrade(asyncio.Protocol):
    """Reads the server's answer; what comes after it is the tunnel's."""

    def __init__(self, tunnel: Tunnel, server: asyncio.Future[str]) -> None:
        self.server = server
        self._tunnel = tunnel
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, rest = self._received.partition(b"\r\n\r\n")
        if not end and len(head) < _HEAD_BYTES:
            return
        first, *lines = head.decode("latin-1").split("\r\n")
        if not first.startswith("HTTP/1.1 101 "):
            is_held = first.startswith("HTTP/1.1 409 ")
            self._fail(_Held("lost by another address") if is_held else ConnectionResetError(f"it answers {first!r}"))
            return
        self._transport.set_protocol(self._tunnel)
        self._tunnel.connection_made(self._transport)
        if rest:
            self._tunnel.data_received(rest)
        headers = dict(line.split(": ", 1) for line in lines if ": " in line)
        if not self.server.done():
            self.server.set_result(headers.get("Pylet-Server", ""))

    def connection_lost(self, error: Exception | None) -> None:
        self._fail(error or ConnectionResetError("it has closed the connection"))

    def _fail(self, why: Exception) -> None:
        if not self.server.done():
            self.server.set_exception(why)
