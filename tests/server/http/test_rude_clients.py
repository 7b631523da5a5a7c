"""Clients that ask and never read, or send little that stands for much."""

from __future__ import annotations

import gzip
from types import SimpleNamespace
from typing import Any

import orjson

from pylet.server.http.answer import Answer
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
