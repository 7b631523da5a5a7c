"""Asking a server that is there, refuses, is away, or does not answer."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.offline import client as offline
from pylet.agent.offline.client import RememberingClient
from pylet.agent.offline.endpoints import Corrections
from pylet.agent.offline.memory import DiskMemory
from pylet.aio.clock import VirtualClock
from pylet.api import timestamps
from pylet.api.errors import ApiError, Forbidden, NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.client.interface import Unreachable
from tests.agent.offline.test_memory import Disk

KEY = Key("a", "s")
SPEC: Object = {"audiences": [], "boundObjectRef": {"uid": "u"}}
SEALED: Object = {"metadata": {"name": "s"}, "data": {"k": "dg=="}}


class Server:
    """Answers, or raises, or says nothing at all."""

    def __init__(self) -> None:
        self.says: Object | ApiError | None = SEALED
        self.asked = 0

    async def get(self, *_: Any, **__: Any) -> Object:
        self.asked += 1
        if self.says is None:
            await asyncio.Event().wait()
        if isinstance(self.says, ApiError):
            raise self.says
        assert self.says is not None
        return self.says

    create = get


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture
def client(server: Server, clock: VirtualClock, tmp_path: Path) -> RememberingClient:
    return RememberingClient(server, DiskMemory(Disk(tmp_path), clock), Corrections(), clock)  # type: ignore[arg-type]


@pytest.mark.parametrize("answer", [Unreachable("away"), None], ids=["away", "silent"])
async def test_while_the_server_is_away_its_last_answer_holds(
    client: RememberingClient, server: Server, answer: Any, clock: VirtualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(offline, "_PATIENCE_SECONDS", 0.01)
    assert await client.get(SECRET, KEY) == SEALED
    server.says = answer
    assert [await client.get(SECRET, KEY) for _ in range(3)] == [SEALED] * 3
    assert server.asked == 2  # one that has just not answered is not asked each time
    await clock.advance(60)
    server.says = {**SEALED, "data": {}}
    assert (await client.get(SECRET, KEY))["data"] == {}


async def test_what_was_never_seen_is_not_made_up(client: RememberingClient, server: Server) -> None:
    server.says = Unreachable("away")
    with pytest.raises(Unreachable):
        await client.get(SECRET, KEY)


async def test_a_refusal_is_a_refusal_and_what_is_gone_is_forgotten(client: RememberingClient, server: Server) -> None:
    await client.get(SECRET, KEY)
    server.says = Forbidden("", "secrets", "s", "no")
    with pytest.raises(Forbidden):
        await client.get(SECRET, KEY)
    server.says = NotFound("", "secrets", "s")
    with pytest.raises(NotFound):
        await client.get(SECRET, KEY)
    server.says = Unreachable("away")
    with pytest.raises(Unreachable):
        await client.get(SECRET, KEY)


async def test_pods_are_the_servers_to_say(client: RememberingClient, server: Server) -> None:
    await client.get(POD, KEY)
    server.says = Unreachable("away")
    with pytest.raises(Unreachable):
        await client.get(POD, KEY)


async def test_a_pod_gets_its_last_token_even_an_expired_one_and_soon_asks_again(
    client: RememberingClient, server: Server, clock: VirtualClock
) -> None:
    request = {"spec": SPEC}
    server.says = {"spec": SPEC, "status": {"token": "t", "expirationTimestamp": "2026-01-01T01:00:00Z"}}
    await client.create(SERVICE_ACCOUNT, request, key=KEY, subresource="token")
    server.says = Unreachable("away")
    await clock.advance(7200)
    for _ in range(2):
        status = (await client.create(SERVICE_ACCOUNT, request, key=KEY, subresource="token"))["status"]
        assert status["token"] == "t"
        life = timestamps.parse(status["expirationTimestamp"]) - clock.now()
        assert 0 < life.total_seconds() < 120
    other = {"spec": {**SPEC, "boundObjectRef": {"uid": "v"}}}
    with pytest.raises(Unreachable):
        await client.create(SERVICE_ACCOUNT, other, key=KEY, subresource="token")
