"""What a probe over HTTP makes of the answers."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from pylet.agent.kubelet.handlers import Target, run


async def ask(answers: dict[str, str], path: str) -> tuple[bool, str]:
    """`answers` are the head of the answer by path; returns the outcome with the port left out."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = (await reader.readline()).split()[1].decode()
        writer.write(answers[asked].encode())
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    nothing: Any = None
    async with server:
        found = await run({"httpGet": {"path": path, "port": port}}, Target("c", "127.0.0.1", {}), nothing, seconds=60)
    return found.ok, found.message.replace(f":{port}", "")


OK, MOVED = "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 302 Found\r\nLocation: {}\r\n\r\n"


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"/": OK}, (True, "")),
        ({"/": "HTTP/1.1 503 No\r\n\r\n"}, (False, "HTTP probe failed with statuscode: 503")),
        ({"/": MOVED.format("/there"), "/there": OK}, (True, "")),
        (
            {"/": MOVED.format("/there"), "/there": "HTTP/1.1 500 No\r\n\r\n"},
            (False, "HTTP probe failed with statuscode: 500"),
        ),
        (
            {"/": MOVED.format("http://192.0.2.1/").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nFound")},
            (True, "Probe terminated redirects, Response body: Found"),
        ),
        ({"/": "HTTP/1.1 300 Choose\r\n\r\n"}, (True, "Probe terminated redirects, Response body: ")),
        ({"/": MOVED.format("/")}, (False, 'Get "http://127.0.0.1/": stopped after 10 redirects')),
        ({"/": "hello\r\n"}, (False, 'Get "http://127.0.0.1/": malformed HTTP response')),
    ],
    ids=[
        "fine",
        "failing",
        "moved",
        "moved and failing",
        "moved elsewhere",
        "several to choose from",
        "round and round",
        "not HTTP",
    ],
)
async def test_answers(answers: dict[str, str], expected: tuple[bool, str]) -> None:
    assert await ask(answers, "/") == expected
