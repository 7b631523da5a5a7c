"""Clients that ask and never read, or send little that stands for much."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from types import SimpleNamespace
from typing import Any, cast

import orjson
import pytest

from pylet.server.http.answer import Answer
from pylet.server.http.backlog import Backlog
from pylet.server.http.websocket import _Deaf

MAPS = "/api/v1/namespaces/default/configmaps"


class Transport:
    """Keeps what is written, as nobody reads it."""

    def __init__(self) -> None:
        self.held = 0
        self.is_reading = True

    def write(self, data: bytes) -> None:
        self.held += len(data)

    def get_write_buffer_size(self) -> int:
        return self.held

    def pause_reading(self) -> None:
        self.is_reading = False

    def resume_reading(self) -> None:
        self.is_reading = True


async def test_who_asks_on_without_reading_waits_for_the_next_answer() -> None:
    transport, waited = Transport(), []

    async def drain() -> None:
        waited.append(transport.held)

    writer = SimpleNamespace(drain=drain)
    request: Any = SimpleNamespace(transport=transport, method="GET", keep_alive=True, writer=writer)
    for _ in range(20):
        await Answer(b"x" * 10_000).prepare(request)
        if waited:
            break
    assert waited
    assert transport.held < 80_000


def test_who_pings_without_reading_is_not_heard_any_more() -> None:
    transport = Transport()
    http: Any = SimpleNamespace(transport=transport)
    deaf = _Deaf(http)
    deaf.pause_writing()
    assert not transport.is_reading
    deaf.resume_writing()
    assert transport.is_reading


async def test_bodies_are_not_unpacked(cluster: Any) -> None:
    """As upstream: the body is what was sent."""
    body = gzip.compress(orjson.dumps({"metadata": {"name": "x"}}))
    answer = await cluster.ask("POST", f"{MAPS}?dryRun=All", body, Content_Encoding="gzip")
    assert answer.status == 400
    assert "couldn't get version/kind" in answer.json["message"]


def test_pings_of_one_piece_are_answered_in_one(monkeypatch: pytest.MonkeyPatch) -> None:
    transport, written = Transport(), []
    monkeypatch.setattr(transport, "write", written.append)
    ping = b"\x89\x85\x01\x02\x03\x04" + bytes(
        octet ^ mask for octet, mask in zip(b"hello", b"\x01\x02\x03\x04\x01", strict=True)
    )
    _Deaf(cast(Any, SimpleNamespace(transport=transport))).data_received(ping * 3)
    assert written == [b"\x8a\x05hello" * 3]


class Reader(Transport):
    def __init__(self, held: int) -> None:
        super().__init__()
        self.held = held


def test_who_leaves_most_goes_where_all_leave_too_much() -> None:
    backlog: Backlog[Reader, str] = Backlog()
    slow = [Reader(7 << 20) for _ in range(9)]
    for number, reader in enumerate(slow):
        assert backlog.slowest(reader, str(number)) is None
    slower, late, quick = Reader(7 << 20 | 1), Reader(512 << 10), Reader(100)
    assert backlog.slowest(slower, "slower") == (slower, "slower")
    backlog.forget(slower)
    assert backlog.slowest(quick, "quick") is None
    slow[3].held += 5
    assert backlog.slowest(late, "late") is None
    assert backlog.slowest(Reader(1 << 20), "later") == (slow[3], "3")
    slow[3].held = 0
    assert backlog.slowest(late, "late") is None
    assert backlog.slowest(Reader((8 << 20) + 1), "slowest") is not None


async def asked(cluster: Any, *pieces: bytes) -> bytes:
    """What is answered until the connection ends, or to the end of the first answer."""
    port = cluster.running.port
    tls = cluster.running.pki.kubelet_context()
    tls.check_hostname = False
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 22)
    with contextlib.suppress(ConnectionError):
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
    answered = await reader.read(4096)
    writer.close()
    return answered


GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"


async def test_a_head_is_bounded_as_a_whole(cluster: Any) -> None:
    """As upstream: a megabyte, and not each header."""
    header = b"X-%d: " + b"x" * 500_000 + b"\r\n"
    assert (await asked(cluster, GET, header % 1, b"\r\n")).startswith(b"HTTP/1.1 200")
    assert (await asked(cluster, GET, *(header % n for n in range(8)))).startswith(b"HTTP/1.1 431")


async def test_a_person_may_be_of_many_groups(cluster: Any) -> None:
    assert (await asked(cluster, GET, b"Impersonate-Group: a\r\n" * 500, b"\r\n")).startswith(b"HTTP/1.1 40")
    assert (await asked(cluster, GET, b"X-A: a\r\n" * 500, b"\r\n")).startswith(b"HTTP/1.1 200")


async def test_a_body_is_no_part_of_a_head(cluster: Any) -> None:
    head = (
        b"POST /api/v1/namespaces/default/configmaps?dryRun=All HTTP/1.1\r\nHost: x\r\nContent-Length: 2900000\r\n\r\n"
    )
    assert b" 431 " not in await asked(cluster, head, *[b" " * 100_000] * 29)
