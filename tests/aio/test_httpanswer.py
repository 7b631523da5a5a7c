"""The smallest HTTP server: what it is asked, what it answers, and whom it hangs up on."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from pylet.aio import httpanswer
from pylet.aio.httpanswer import Answer


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    server = await httpanswer.serve(lambda path: Answer(200, f"{path} – ü", headers={"X-Own": "1"}), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(port: int, sent: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    try:
        return await reader.read()
    finally:
        writer.close()


async def test_it_is_asked_for_a_path_and_says_how_long_its_answer_is() -> None:
    async with serving() as port:
        head, _, body = (await ask(port, b"GET /metrics?a=b HTTP/1.1\r\nHost: a\r\n\r\n")).partition(b"\r\n\r\n")
    assert body.decode() == "/metrics – ü"
    assert head.splitlines() == [
        b"HTTP/1.1 200 OK",
        b"Content-Type: text/plain; charset=utf-8",
        b"Content-Length: 15",
        b"Connection: close",
        b"X-Own: 1",
    ]


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"GET / HTTP/1.1\r\nX: " + bytes(1 << 17), id="a head without end"),
        pytest.param(b"GET / HTTP/1.1\r\nX: " + bytes(1 << 17) + b"\r\n\r\n", id="a long head"),
    ],
)
async def test_who_says_too_much_is_hung_up_on_without_a_word(sent: bytes, caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as port:
        with suppress(ConnectionResetError):
            assert await ask(port, sent) == b""
    assert not caplog.records


async def test_what_is_no_request_is_asked_for_nothing() -> None:
    async with serving() as port:
        assert (await ask(port, b"hello\r\n\r\n")).endswith(b"\r\n\r\n" + " – ü".encode())
