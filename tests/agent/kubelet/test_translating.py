"""WebSocket clients of a runtime that speaks SPDY alone, which a small server stands for: it echoes in upper case."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web

from pylet.agent.kubelet.reach import Refused
from pylet.agent.kubelet.translating import status, translate
from pylet.aio import spdy

V5, TUNNEL = "v5.channel.k8s.io", "SPDY/3.1+portforward.k8s.io"
STREAMS = {"stdin": True, "stdout": True, "stderr": True, "tty": False}
SUCCESS = {"metadata": {}, "status": "Success"}
EXIT = {
    "status": "Failure",
    "reason": "NonZeroExitCode",
    "details": {"causes": [{"reason": "ExitCode", "message": "3"}]},
}
ERROR, STDIN, STDOUT, STDERR = 1, 3, 5, 7
"""The streams in the order in which clients open them."""

Runtime = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def upper(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answers what comes on standard input until that ends, then on standard error, then 3."""
    while True:
        first, second = struct.unpack(">II", await reader.readexactly(8))
        content = await reader.readexactly(second & 0xFFFFFF)
        if first == STDIN and content:
            writer.write(spdy.data(STDOUT, content.upper()))
        elif first == STDIN:
            writer.write(spdy.data(ERROR, orjson.dumps(EXIT)) + spdy.end(ERROR))
            writer.write(spdy.data(STDERR, b"over") + spdy.end(STDERR) + spdy.end(STDOUT))


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while said := await reader.read(100):
        writer.write(said)


@asynccontextmanager
async def kubelet(
    runtime: Runtime, streams: dict[str, bool], answer: str = "101 Switching Protocols"
) -> AsyncIterator[tuple[str, list[str]]]:
    """Its address, and the heads of the requests that the runtime got."""
    heads: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        heads.append(head)
        chosen = next(line for line in head.split("\r\n") if line.startswith("X-Stream"))
        writer.write(f"HTTP/1.1 {answer}\r\n{chosen}\r\n\r\n".encode())
        try:
            await runtime(reader, writer)
        except asyncio.IncompleteReadError:
            writer.close()

    async def serve(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await translate(request, url, streams) or web.Response(status=404)
        except Refused as refused:
            return web.Response(status=refused.code)

    behind = await asyncio.start_server(take, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{behind.sockets[0].getsockname()[1]}/exec/token?x=1"
    server = web.Server(serve)
    front = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{front.sockets[0].getsockname()[1]}", heads
    finally:
        front.close()
        behind.close()
        await server.shutdown(1.0)


@asynccontextmanager
async def client(url: str, *protocols: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with aiohttp.ClientSession() as session, session.ws_connect(url, protocols=protocols) as socket:
        yield socket


async def said(socket: Any) -> list[tuple[int, bytes]]:
    """All that comes, by channel."""
    return [(message.data[0], message.data[1:]) async for message in socket]


async def test_input_ends_and_the_output_goes_on() -> None:
    async with kubelet(upper, STREAMS) as (url, heads), client(url, "v4.channel.k8s.io", V5) as socket:
        assert socket.protocol == V5
        await socket.send_bytes(b"\x00hello")
        await socket.send_bytes(b"\x07ignored")
        await socket.send_bytes(b"\xff\x00")
        first, *middle, last = await said(socket)
    assert first == (1, b"")
    assert middle == [(1, b"HELLO"), (2, b"over")]
    assert last[0] == 3
    assert orjson.loads(last[1])["details"] == EXIT["details"]
    assert heads[0].startswith("POST /exec/token?x=1 HTTP/1.1\r\n")
    assert "Upgrade: SPDY/3.1\r\n" in heads[0]
    assert "X-Stream-Protocol-Version: v4.channel.k8s.io\r\n" in heads[0]


@pytest.mark.parametrize("answer", ["101 Switching Protocols", "404 Not Found"])
async def test_a_runtime_that_breaks_off_or_refuses_is_told_of(answer: str) -> None:
    async with kubelet(hang_up, STREAMS, answer) as (url, _), client(url, V5) as socket:
        *_, (channel, content) = await said(socket)
    told = orjson.loads(content)
    assert (channel, told["reason"], told["code"]) == (3, "InternalError", 500)


async def test_a_client_that_leaves_ends_the_connection_with_the_runtime() -> None:
    left = asyncio.Event()

    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(100):
            pass
        left.set()
        writer.close()

    async with kubelet(wait, STREAMS) as (url, _):
        async with client(url, V5) as socket:
            assert (await socket.receive()).data == b"\x01"
        await asyncio.wait_for(left.wait(), 30)


async def test_spdy_passes_through_messages() -> None:
    async with kubelet(echo, {}) as (url, heads), client(url, TUNNEL) as socket:
        assert socket.protocol == TUNNEL
        await socket.send_bytes(b"frames")
        assert (await socket.receive()).data == b"frames"
    assert "X-Stream-Protocol-Version: portforward.k8s.io\r\n" in heads[0]


async def test_a_tunnel_refused_is_no_tunnel() -> None:
    async with kubelet(hang_up, {}, "403 Forbidden") as (url, _):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client(url, TUNNEL).__aenter__()
    assert refused.value.status == 403


async def test_who_asks_for_neither_is_left_to_the_runtime() -> None:
    async with kubelet(echo, STREAMS) as (url, heads):
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client(url, "v4.channel.k8s.io").__aenter__()
    assert (refused.value.status, heads) == (404, [])


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        pytest.param(b"", SUCCESS, id="nothing said is success"),
        pytest.param(b'{"metadata":{},"status":"Success"}', SUCCESS, id="success"),
        pytest.param(
            orjson.dumps(EXIT),
            EXIT | {"metadata": {}, "message": "command terminated with non-zero exit code: "
            "command terminated with exit code 3"},
            id="an exit code",
        ),
        pytest.param(
            b'{"status":"Failure","message":"no such file"}',
            {
                "metadata": {},
                "status": "Failure",
                "message": "Internal error occurred: no such file",
                "reason": "InternalError",
                "details": {"causes": [{"message": "no such file"}]},
                "code": 500,
            },
            id="a failure to run it",
        ),
    ],
)  # fmt: skip
def test_how_a_command_ended(told: bytes, expected: dict[str, Any]) -> None:
    assert status(told) == expected


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (b"not json", "error stream protocol error: "),
        (b'{"status": "Perhaps"}', "error stream protocol error: unknown error"),
        (b'{"status": "Failure", "reason": "NonZeroExitCode"}', "error stream protocol error: no ExitCode cause given"),
    ],
)
def test_what_is_not_understood_is_said_to_be(told: bytes, why: str) -> None:
    assert status(told)["message"].startswith(f"Internal error occurred: {why}")
