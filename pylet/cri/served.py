"""A gRPC service of pylet's own behind a Unix socket, for plugins of the node to call."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import TypeAlias, cast

from pylet.cri import http2, rpc
from pylet.cri.rpc import CallError

Method: TypeAlias = Callable[[bytes], Awaitable[bytes]]
"""From the request's bytes to the answer's. Raises: Refused, CallError."""


class Refused(Exception):
    """A call is not done; the text is what the caller is told."""


async def serve(socket: Path, methods: Mapping[str, Method]) -> None:
    """Until cancelled. `methods` by path, `/package.Service/Method`."""
    callers: set[_Caller] = set()
    async with asyncio.TaskGroup() as group:
        loop = asyncio.get_running_loop()
        server = await loop.create_unix_server(lambda: _Caller(methods, group, callers), str(socket))
        try:
            await asyncio.Event().wait()
        finally:
            server.close()
            for caller in callers:
                caller.transport.close()


class _Caller(asyncio.Protocol):
    """One connection to us, and the calls on it."""

    transport: asyncio.Transport

    def __init__(self, methods: Mapping[str, Method], group: asyncio.TaskGroup, callers: set[_Caller]) -> None:
        self._methods, self._group, self._callers = methods, group, callers
        self._http = http2.Connection(is_client=False)
        self._arriving: dict[int, tuple[str, rpc.Messages]] = {}
        self._answering: dict[int, asyncio.Task[None]] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._callers.add(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._http.receive(data)
        except http2.ProtocolError:
            self._send()
            self.transport.close()
            return
        for event in events:
            self._happened(event)
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        self._callers.discard(self)
        for task in self._answering.values():
            task.cancel()

    def _happened(self, event: http2.Event) -> None:
        match event:
            case http2.Headers(stream, fields, is_last):
                if stream not in self._arriving:
                    self._arriving[stream] = fields.get(":path", ""), rpc.Messages()
            case http2.Data(stream, content, is_last) if stream in self._arriving:
                self._arriving[stream][1].add(content)
            case http2.Reset(stream):
                self._arriving.pop(stream, None)
                if (task := self._answering.get(stream)) is not None:
                    task.cancel()
                return
            case _:
                return
        if is_last:
            path, messages = self._arriving.pop(stream)
            task = self._answering[stream] = self._group.create_task(self._answer(stream, path, messages))
            task.add_done_callback(lambda _: self._answering.pop(stream, None))

    async def _answer(self, stream: int, path: str, messages: rpc.Messages) -> None:
        try:
            answer = await self._answered(path, messages)
        except CallError as failed:
            self._http.respond(stream, rpc.ANSWER + rpc.trailers(failed.code, failed.details), b"", b"")
        else:
            self._http.respond(stream, rpc.ANSWER, rpc.framed(answer), rpc.trailers())
        self._send()

    async def _answered(self, path: str, messages: rpc.Messages) -> bytes:
        """Raises: CallError."""
        method = self._methods.get(path)
        if method is None:
            raise CallError("Unimplemented", "Method not found!")
        request = messages.next()
        if request is None:
            raise CallError("Internal", "cardinality violation: expected one request message")
        try:
            return await method(request)
        except Refused as refused:
            raise CallError("Unknown", str(refused)) from refused

    def _send(self) -> None:
        if (output := self._http.take()) and not self.transport.is_closing():
            self.transport.write(output)
