"""Who asks, said by one of the protocols that a WebSocket's client offers: pages in browsers set no header."""

from __future__ import annotations

from typing import Any

import aiohttp
import pytest

from pylet.api import base64url
from tests.server.auth.test_access import account_token, grant

MAPS = "/api/v1/namespaces/default/configmaps"


def bearer(token: str) -> str:
    return "base64url.bearer.authorization.k8s.io." + base64url.encode(token.encode()).decode()


async def test_a_token_among_the_protocols_says_who_asks_and_is_not_spoken(cluster: Any) -> None:
    token = await account_token(cluster)
    await grant(cluster, ["watch"], ["configmaps"])
    assert (await cluster.ask("POST", MAPS, {"metadata": {"name": "seen"}})).status == 201
    url = f"{cluster.running.url}{MAPS}?watch=1"
    async with cluster.anyone.ws_connect(url, protocols=(bearer(token), "one")) as socket:
        assert socket.protocol == "one"
        assert (await socket.receive_json())["type"] == "ADDED"


@pytest.mark.parametrize(
    ("protocols", "status"),
    [
        ([bearer("nonsense"), "one"], 401),
        ([bearer("nonsense")], 401),
        ([bearer("a"), bearer("b"), "one"], 401),
        ([bearer("a") + "!", "one"], 401),
        ([bearer(""), "one"], 403),
        (["one"], 403),
    ],
    ids=["a wrong token", "a token alone", "two tokens", "no base64", "an empty token is none", "no token"],
)
async def test_a_token_that_is_wrong_is_not_anonymous(cluster: Any, protocols: list[str], status: int) -> None:
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await cluster.anyone.ws_connect(f"{cluster.running.url}{MAPS}?watch=1", protocols=protocols)
    assert refused.value.status == status


async def test_who_shows_a_certificate_is_not_asked_for_more(cluster: Any) -> None:
    url = f"{cluster.running.url}{MAPS}?watch=1"
    async with cluster.admin.ws_connect(url, protocols=(bearer("nonsense"), "one")) as socket:
        assert socket.protocol == "one"


async def test_who_does_not_speak_messages_has_no_token_there(cluster: Any) -> None:
    token = await account_token(cluster)
    await grant(cluster, ["list"], ["configmaps"])
    told = await cluster.ask("GET", MAPS, anonymous=True, Sec_WebSocket_Protocol=f"{bearer(token)}, one")
    assert told.status == 403
