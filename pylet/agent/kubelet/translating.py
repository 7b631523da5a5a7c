"""WebSocket clients of a runtime that speaks SPDY/3.1: `v5.channel.k8s.io`, in which standard input can end while the
output goes on, and SPDY itself in WebSocket messages, as ports are forwarded.

Who asks for neither is none of this file's business. Of input no more is read than the runtime takes, of output no
more than the client does.
Source: apiserver `pkg/util/proxy` (streamtranslator.go, streamtunnel.go), client-go `tools/remotecommand/v4.go`.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urlsplit

import orjson
from aiohttp import WSMsgType, web

from pylet.agent.kubelet.reach import Refused
from pylet.aio import spdy
from pylet.api.errors import InternalError
from pylet.api.object import Object

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

_V5 = "v5.channel.k8s.io"
_V4 = "v4.channel.k8s.io"
_TUNNEL, _SUFFIX = "SPDY/3.1+", ".k8s.io"
_STDIN, _STDOUT, _STDERR, _ERROR, _RESIZE = range(5)
_NAMES = {_ERROR: "error", _STDIN: "stdin", _STDOUT: "stdout", _STDERR: "stderr", _RESIZE: "resize"}
_CLOSE = 255
_MOST_BYTES = 32 << 20  # of a message
_PIECE_BYTES = 64 << 10
_HEAD_BYTES = 64 << 10
_CLOSING_SECONDS = 2.0


async def translate(request: web.BaseRequest, url: str, streams: Mapping[str, bool]) -> web.StreamResponse | None:
    """None for who asks for neither. Raises: Refused, OSError."""
    offered = [name.strip() for name in request.headers.get("Sec-WebSocket-Protocol", "").split(",")]
    if streams and _V5 in offered:
        return await _command(request, url, streams)
    over_spdy = [name.removeprefix(_TUNNEL) for name in offered if name.startswith(_TUNNEL) and name.endswith(_SUFFIX)]
    return await _tunnel(request, url, over_spdy) if over_spdy and not streams else None


async def _command(request: web.BaseRequest, url: str, streams: Mapping[str, bool]) -> web.StreamResponse:
    """A command in a container, until it ends or its client leaves; how it ended is the last thing the client hears."""
    near = _socket(_V5)
    await near.prepare(request)
    with suppress(ConnectionError):
        try:
            said = await _relayed(near, url, streams)
        except (Refused, OSError, EOFError) as failed:
            said = _failed(str(failed))
        await near.send_bytes(bytes([_ERROR]) + orjson.dumps(said))
    await near.close()
    return near


async def _tunnel(request: web.BaseRequest, url: str, offered: list[str]) -> web.StreamResponse:
    """SPDY frames in messages, as they come. Raises: Refused."""
    async with _joined(url, offered) as far:
        near = _socket(*([_TUNNEL + far.protocol] if far.protocol else []))
        await near.prepare(request)

        async def send() -> None:
            async for said in _messages(near):
                await far.send(said)

        async def receive() -> None:
            while piece := await far.receive():
                await near.send_bytes(piece)

        with suppress(OSError):
            await _first(send(), receive())
        await near.close()
    return near


def status(said: bytes) -> Object:
    """What a client is told of what the runtime's error stream said: the same in other words."""
    if not said:
        return _succeeded()
    try:
        told = orjson.loads(said)
    except orjson.JSONDecodeError as bad:
        return _failed(f'error stream protocol error: {bad} in "{said.decode(errors="replace")}"')
    match told:
        case {"status": "Success"}:
            return _succeeded()
        case {"status": "Failure", "reason": "NonZeroExitCode"}:
            causes = (told.get("details") or {}).get("causes") or ()
            code = next((cause["message"] for cause in causes if cause.get("reason") == "ExitCode"), None)
            if code is None:
                return _failed("error stream protocol error: no ExitCode cause given")
            return {
                "metadata": {},
                "status": "Failure",
                "message": f"command terminated with non-zero exit code: command terminated with exit code {code}",
                "reason": "NonZeroExitCode",
                "details": {"causes": [{"reason": "ExitCode", "message": code}]},
            }
        case {"status": "Failure"}:
            return _failed(told.get("message", ""))
    return _failed("error stream protocol error: unknown error")


def _succeeded() -> Object:
    return {"metadata": {}, "status": "Success"}


def _failed(why: str) -> Object:
    error = InternalError(f"Internal error occurred: {why}", details={"causes": [{"message": why}]}).status()
    return {name: value for name, value in error.items() if name not in ("kind", "apiVersion")}


def _socket(*spoken: str) -> web.WebSocketResponse:
    return web.WebSocketResponse(
        timeout=_CLOSING_SECONDS, protocols=spoken, compress=False, max_msg_size=_MOST_BYTES, decode_text=False
    )


async def _messages(near: web.WebSocketResponse) -> AsyncIterator[bytes]:
    """What the client says until it leaves."""
    async for message in near:
        if message.type in (WSMsgType.BINARY, WSMsgType.TEXT) and message.data:
            yield message.data


class _Far:
    """A SPDY connection with the runtime, on a bare socket: what it has said can be read when it listens no more."""

    def __init__(self, connection: socket.socket) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._turn = asyncio.Lock()
        self._early = b""
        self.protocol = ""

    async def upgrade(self, to: SplitResult, offered: list[str]) -> None:
        """Raises: Refused, OSError."""
        lines = [f"POST {to.path}{'?' + to.query if to.query else ''} HTTP/1.1", f"Host: {to.netloc}"]
        lines += ["Connection: Upgrade", "Upgrade: SPDY/3.1", "Content-Length: 0"]
        lines += [f"X-Stream-Protocol-Version: {name}" for name in offered]
        await self.send("\r\n".join((*lines, "\r\n")).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            piece = await self.receive()
            if not piece or len(answer) > _HEAD_BYTES:
                raise ConnectionResetError("the runtime broke off")
            answer += piece
        head, _, self._early = answer.partition(b"\r\n\r\n")
        first, *fields = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in fields)}
        code = int(first.split()[1])
        if code != 101:
            raise Refused(code, self._early.decode(errors="replace"))
        self.protocol = headers.get("x-stream-protocol-version", "")

    async def send(self, data: bytes) -> None:
        async with self._turn:
            await self._loop.sock_sendall(self._connection, data)

    async def receive(self) -> bytes:
        """Empty at the end."""
        if self._early:
            early, self._early = self._early, b""
            return early
        return await self._loop.sock_recv(self._connection, _PIECE_BYTES)


@asynccontextmanager
async def _joined(url: str, offered: list[str]) -> AsyncIterator[_Far]:
    """Raises: Refused, OSError."""
    to = urlsplit(url)
    family, kind, _, _, address = (
        await asyncio.get_running_loop().getaddrinfo(to.hostname, to.port or 80, type=socket.SOCK_STREAM)
    )[0]
    with socket.socket(family, kind) as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await asyncio.get_running_loop().sock_connect(connection, address)
        far = _Far(connection)
        await far.upgrade(to, offered)
        yield far


async def _relayed(near: web.WebSocketResponse, url: str, streams: Mapping[str, bool]) -> Object:
    """What to tell the client at last. Raises: Refused, OSError, EOFError."""
    client = spdy.Client()
    async with _joined(url, [_V4]) as far:
        channels: dict[int, int] = {}
        for channel, name in _NAMES.items():
            if streams["tty"] if channel == _RESIZE else streams.get(name, True):
                number, frame = client.open({"streamtype": name})
                channels[number] = channel
                await far.send(frame)
        # A sign of life, and no sooner: an older kubectl (1.32) complains of what comes before it has made its streams.
        await near.send_bytes(bytes([min(channel for channel in channels.values() if channel != _STDIN)]))
        said: Object = await _first(_inwards(near, far, channels), _outwards(near, far, client, channels))
        return said


async def _inwards(near: web.WebSocketResponse, far: _Far, channels: Mapping[int, int]) -> None:
    """Raises: ConnectionResetError when the client has left."""
    numbers = {channel: number for number, channel in channels.items() if channel in (_STDIN, _RESIZE)}
    async for said in _messages(near):
        channel, content = said[0], said[1:]
        frame = b""
        if channel == _CLOSE and content[0:1] and content[0] in numbers:
            frame = spdy.end(numbers.pop(content[0]))
        elif channel in numbers and content:
            frame = spdy.data(numbers[channel], content)
        with suppress(ConnectionError):  # it listens no more, and may have more to say
            await far.send(frame)
    raise ConnectionResetError("the client has left")


async def _outwards(near: web.WebSocketResponse, far: _Far, client: spdy.Client, channels: Mapping[int, int]) -> Object:
    running = {number for number, channel in channels.items() if channel in (_STDOUT, _STDERR, _ERROR)}
    error = b""
    while running:
        piece = await far.receive()
        if not piece:
            raise EOFError("error reading from error stream: the runtime broke off")
        for number, content, is_last in client.receive(piece):
            channel = channels.get(number)
            if channel == _ERROR:
                error += content
            elif content and channel in (_STDOUT, _STDERR):
                await near.send_bytes(bytes([channel]) + content)
            if is_last:
                running.discard(number)
        if client.replies:
            await far.send(bytes(client.replies))
            client.replies.clear()
    return status(error)


async def _first(*ways: Any) -> Any:
    """What the first way to end answers, of several the later named; the others are cut off."""
    tasks = [asyncio.ensure_future(way) for way in ways]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        return next(task for task in reversed(tasks) if task.done()).result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
