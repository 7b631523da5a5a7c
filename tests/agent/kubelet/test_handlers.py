"""What a probe over HTTP makes of the answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from pylet.agent.kubelet.handlers import Outcome, Target, run


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


async def asked(action: dict[str, Any], answer: str, *, is_hook: bool) -> tuple[Outcome, list[str]]:
    """The outcome with the port left out, and what was asked in clear; who asks otherwise is told 400."""
    heads: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.read(4096)
        if head.startswith(b"GET "):
            heads.append(head.decode().replace(f":{port}", ""))
        writer.write((answer if head.startswith(b"GET ") else "HTTP/1.0 400 Bad Request\r\n\r\n").encode())
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    nothing: Any = None
    async with server:
        target = Target("c", "127.0.0.1", {})
        found = await run({"httpGet": {"port": port, **action}}, target, nothing, seconds=60, is_hook=is_hook)
    return replace(found, message=found.message.replace(f":{port}", "")), heads


@pytest.mark.parametrize(
    ("answer", "ok"),
    [(OK, True), ("HTTP/1.1 500 No\r\n\r\n", True), (MOVED.format("http://192.0.2.1/"), True), ("hello\r\n", False)],
    ids=["fine", "failing", "moved elsewhere", "not HTTP"],
)
async def test_any_answer_is_good_enough_for_a_hook(answer: str, ok: bool) -> None:
    found, _ = await asked({}, answer, is_hook=True)
    assert found.ok == ok
    assert not (ok and found.message)


async def test_who_asks_and_how() -> None:
    said = [{"name": "X-A", "value": "1"}, {"name": "X-A", "value": "2"}, {"name": "Accept", "value": ""}]
    _, [head] = await asked({"httpHeaders": said}, OK, is_hook=False)
    assert head.splitlines() == [
        "GET / HTTP/1.1",
        "host: 127.0.0.1",
        "user-agent: kube-probe/1.36",
        "x-a: 1",
        "x-a: 2",
        "connection: close",
        "",
    ]
    _, [head] = await asked({}, OK, is_hook=True)
    assert "user-agent: kube-lifecycle/1.36\r\naccept: */*\r\n" in head


async def test_a_hook_that_speaks_no_tls_is_asked_without() -> None:
    action = {"scheme": "HTTPS", "httpHeaders": [{"name": "Authorization", "value": "secret"}]}
    found, [head] = await asked(action, OK, is_hook=True)
    words = "request to HTTPS lifecycle hook 127.0.0.1 got HTTP response, retry with HTTP succeeded"
    assert (found.ok, found.message) == (True, words)
    assert "secret" not in head


async def test_a_probe_that_finds_no_tls_says_so() -> None:
    found, heads = await asked({"scheme": "HTTPS"}, OK, is_hook=False)
    words = 'Get "https://127.0.0.1/": http: server gave HTTP response to HTTPS client'
    assert (found.ok, found.message, heads) == (False, words, [])
