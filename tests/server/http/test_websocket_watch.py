"""Watches over WebSocket, as browsers and older Java clients have them, with aiohttp's client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

MAPS = "/api/v1/namespaces/default/configmaps"
PROTOBUF = "application/vnd.kubernetes.protobuf"
LONG = "x" * 70_000
"""More than a length of two bytes counts."""


@asynccontextmanager
async def watched(cluster: Any, query: str = "", **headers: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    url = f"{cluster.running.url}{MAPS}?watch=1&fieldSelector=metadata.name%3Dseen{query}"
    async with cluster.admin.ws_connect(url, headers=headers, max_msg_size=0) as socket:
        yield socket


async def created(cluster: Any, **data: str) -> None:
    made = await cluster.ask("POST", MAPS, {"metadata": {"name": "seen"}, "data": data})
    assert made.status == 201


@pytest.mark.parametrize("value", ["short", "y" * 1000, LONG], ids=["short", "of two bytes' length", "of eight bytes'"])
async def test_each_event_is_a_message(cluster: Any, value: str) -> None:
    async with watched(cluster) as socket:
        await created(cluster, key=value)
        first = await socket.receive()
        await cluster.ask("DELETE", f"{MAPS}/seen")
        last = await socket.receive_json()
    assert first.type is aiohttp.WSMsgType.TEXT
    assert first.data.endswith("}\n")
    assert (first.json()["type"], first.json()["object"]["data"]) == ("ADDED", {"key": value})
    assert (last["type"], last["object"]["kind"]) == ("DELETED", "ConfigMap")


async def test_what_there_is_comes_first_and_the_time_out_ends_it(cluster: Any) -> None:
    await created(cluster)
    async with watched(cluster, "&timeoutSeconds=1") as socket:
        assert (await socket.receive_json())["type"] == "ADDED"
        closed = await socket.receive()
    assert (closed.type, closed.data) == (aiohttp.WSMsgType.CLOSE, 1000)


async def test_who_asks_whether_anybody_is_there_is_answered(cluster: Any) -> None:
    async with watched(cluster) as socket:
        await socket.send_str(LONG)  # is not looked at
        await socket.ping(b"there?")
        await created(cluster)
        assert (await socket.receive_json())["type"] == "ADDED"


async def test_a_ping_gets_its_pong(cluster: Any) -> None:
    url = f"{cluster.running.url}{MAPS}?watch=1&fieldSelector=metadata.name%3Dseen"
    async with cluster.admin.ws_connect(url, autoping=False) as socket:
        await socket.ping(b"there?")
        async with asyncio.timeout(10):
            answered = await socket.receive()
    assert (answered.type, answered.data) == (aiohttp.WSMsgType.PONG, b"there?")


async def test_protobuf_comes_in_binary_messages_without_a_length(cluster: Any) -> None:
    await created(cluster)
    async with watched(cluster, Accept=f"{PROTOBUF};stream=watch") as socket:
        first = await socket.receive()
    assert first.type is aiohttp.WSMsgType.BINARY
    assert first.data.startswith(b"\x0a\x05ADDED\x12")


async def test_why_a_watch_cannot_begin_is_told_in_a_message(cluster: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pylet.server.registry.state._FRESH_SECONDS", 0)
    future = "&resourceVersion=99999999&sendInitialEvents=true&resourceVersionMatch=NotOlderThan"
    async with watched(cluster, future) as socket:
        told = await socket.receive_json()
    assert (told["type"], told["object"]["reason"]) == ("ERROR", "Timeout")


async def test_who_leaves_is_not_told_any_more(cluster: Any) -> None:
    async with watched(cluster):
        pass
    await created(cluster)
    async with watched(cluster) as socket:
        assert (await socket.receive_json())["type"] == "ADDED"


async def test_one_protocol_is_spoken_and_of_several_none(cluster: Any) -> None:
    url = f"{cluster.running.url}{MAPS}?watch=1"
    async with cluster.admin.ws_connect(url, protocols=("one",)) as socket:
        assert socket.protocol == "one"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await cluster.admin.ws_connect(url, protocols=("one", "two"))
    assert refused.value.status == 400
