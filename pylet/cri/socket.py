"""Any gRPC service, behind a Unix socket as plugins of a node serve them or behind a port: calls with messages of
`wire`. It stands in for grpcio, which would be 14 MiB of RSS and seven threads in every node."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from types import MappingProxyType
from typing import Any, TypeVar, cast

from pylet.cri import http2, rpc, wire
from pylet.cri.rpc import CallError as CallError

T = TypeVar("T")

_DIAL_SECONDS = 20.0
_DIAL_AGAIN_SECONDS = (0.1, 2.0)
_NO_METADATA: Mapping[str, str] = MappingProxyType({})


class _NotSeen(Exception):
    """The service has not looked at the call: it may be made again."""


class ServiceSocket:
    """The services behind `address`: a path, or `host:port`. It is dialled with the first call, and again when the
    connection was lost."""

    def __init__(self, address: str) -> None:
        self._address = address
        self._link: _Link | None = None
        self._dialling = asyncio.Lock()
        self._is_closed = False

    async def call(
        self,
        path: str,
        request: Any,
        answer: type[T],
        *,
        seconds: float | None,
        metadata: Mapping[str, str] = _NO_METADATA,
    ) -> T:
        """`path` is `/package.Service/Method`. Raises: CallError."""
        head, message = rpc.head(path, seconds, metadata), rpc.framed(wire.encode(request))
        try:
            async with asyncio.timeout(seconds):
                while True:
                    call = (await self._connected()).call(head, message)
                    try:
                        return wire.decode(answer, await call.only())
                    except _NotSeen:
                        continue
                    finally:
                        call.end()
        except TimeoutError:
            raise CallError("DeadlineExceeded", "context deadline exceeded") from None
        except wire.Malformed as broken:
            raise CallError("Internal", f"grpc: failed to unmarshal the received message: {broken}") from broken

    async def stream(self, path: str, request: Any, answer: type[T]) -> AsyncGenerator[T]:
        """Answers as they come, until the service ends the stream. Raises: CallError."""
        call = (await self._connected()).call(rpc.head(path, None, _NO_METADATA), rpc.framed(wire.encode(request)))
        try:
            while (message := await call.next()) is not None:
                yield wire.decode(answer, message)
        except _NotSeen as refused:
            raise CallError("Unavailable", str(refused)) from refused
        finally:
            call.end()

    async def connections(self) -> AsyncIterator[bool]:
        """Whether somebody is there, now and whenever that changes; until it is closed."""
        while not self._is_closed:
            yield False
            link = await self.connected()
            yield True
            await asyncio.wait((link.lost,))

    async def connected(self) -> _Link:
        """Wait until somebody is there."""
        delay, longest = _DIAL_AGAIN_SECONDS
        while True:
            try:
                return await self._connected()
            except CallError:
                await asyncio.sleep(delay)
                delay = min(delay * 2, longest)

    async def _connected(self) -> _Link:
        """Raises: CallError."""
        async with self._dialling:
            if self._is_closed:
                raise CallError("Canceled", "grpc: the client connection is closing")
            if self._link is None or not self._link.is_open:
                self._link = await self._dial()
            return self._link

    async def _dial(self) -> _Link:
        loop, address = asyncio.get_running_loop(), self._address
        network = "unix" if address.startswith("/") else "tcp"
        try:
            async with asyncio.timeout(_DIAL_SECONDS):
                if network == "unix":
                    return (await loop.create_unix_connection(_Link, address))[1]
                host, _, port = address.rpartition(":")
                return (await loop.create_connection(_Link, host.strip("[]"), int(port)))[1]
        except OSError as failed:
            why = os.strerror(failed.errno).lower() if failed.errno else "i/o timeout"
            details = f"transport: Error while dialing: dial {network} {address}: connect: {why}"
            raise CallError("Unavailable", f'connection error: desc = "{details}"') from failed

    async def close(self) -> None:
        self._is_closed = True
        if self._link is not None:
            self._link.abandon()


class _Link(asyncio.Protocol):
    """One connection, and the calls on it."""

    def __init__(self) -> None:
        self.is_open = True
        self.lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._http = http2.Connection(is_client=True)
        self._calls: dict[int, _Call] = {}

    def call(self, head: bytes, message: bytes) -> _Call:
        stream = self._http.request(head, message)
        made = self._calls[stream] = _Call(self, stream)
        self._send()
        return made

    def end(self, stream: int) -> None:
        if self._calls.pop(stream, None) is not None:
            self._http.cancel(stream)
            self._send()
            self._rest()

    def took(self, stream: int, size: int) -> None:
        self._http.took(stream, size)
        self._send()

    def abandon(self) -> None:
        self._fail("Canceled", "grpc: the client connection is closing")
        self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._http.receive(data)
        except http2.ProtocolError as broken:
            self._fail("Unavailable", f"connection error: {broken}")
            self._send()
            self._transport.close()
            return
        for event in events:
            self._happened(event)
        asyncio.get_running_loop().call_soon(self._send)  # with what those who were waiting say next

    def connection_lost(self, error: Exception | None) -> None:
        self._fail("Unavailable", f"error reading from server: {error or 'EOF'}")
        if not self.lost.done():
            self.lost.set_result(None)

    def _happened(self, event: http2.Event) -> None:
        if isinstance(event, http2.GoingAway):
            self.is_open = False
            self._rest()
            return
        call = self._calls.get(event.stream)
        if call is not None:
            call.happened(event)

    def _rest(self) -> None:
        """A connection that takes no more calls goes with its last."""
        if not self.is_open and not self._calls:
            self._transport.close()

    def _fail(self, code: str, details: str) -> None:
        self.is_open = False
        calls, self._calls = self._calls, {}
        for call in calls.values():
            call.fail(CallError(code, details))

    def _send(self) -> None:
        if (output := self._http.take()) and not self._transport.is_closing():
            self._transport.write(output)


class _Call:
    """One stream: what arrived of it, and how it ended."""

    def __init__(self, link: _Link, stream: int) -> None:
        self._link, self._stream = link, stream
        self._messages = rpc.Messages()
        self._fields: dict[str, str] = {}
        self._failure: Exception | None = None
        self._is_over = False
        self._news: asyncio.Future[None] | None = None

    async def only(self) -> bytes:
        """The one message of the answer, once the service has said that all went well."""
        message = await self.next()
        if message is None or await self.next() is not None:
            raise CallError("Internal", "cardinality violation: expected one response message")
        return message

    async def next(self) -> bytes | None:
        """The next message; None when the service ended the stream well."""
        while (message := self._messages.next()) is None:
            if self._failure is not None:
                raise self._failure
            if self._is_over:
                return None
            self._news = asyncio.get_running_loop().create_future()
            await self._news
        self._link.took(self._stream, len(message) + rpc.PREFIX_BYTES)
        return message

    def end(self) -> None:
        self._link.end(self._stream)

    def happened(self, event: http2.Headers | http2.Data | http2.Reset) -> None:
        match event:
            case http2.Headers(_, fields, is_last):
                self._fields |= fields
                if is_last:
                    self._over(rpc.failure(self._fields))
            case http2.Data(_, content, is_last):
                self._messages.add(content)
                if is_last:
                    self._over(rpc.failure(self._fields))
            case http2.Reset(_, http2.Code.REFUSED_STREAM):
                self._over(_NotSeen("the stream was refused"))
            case http2.Reset(_, code):
                why = f"stream terminated by RST_STREAM with error code: {code}"
                self._over(CallError("Canceled" if code == http2.Code.CANCEL else "Internal", why))
        self._tell()

    def fail(self, why: CallError) -> None:
        if not self._is_over:
            self._over(why)
            self._tell()

    def _over(self, failure: Exception | None) -> None:
        self._is_over, self._failure = True, failure

    def _tell(self) -> None:
        if self._news is not None and not self._news.done():
            self._news.set_result(None)
