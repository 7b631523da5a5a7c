"""Which server a client uses: the one that answers, and another as soon as it does not."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.object import Key
from pylet.client import counters
from pylet.client.http import HttpClient
from pylet.client.interface import Unreachable
from pylet.client.servers import Servers, api_servers, spread
from pylet.client.view import Entry, Table


def endpoint_slice(*addresses: str, name: str = "kubernetes", namespace: str = "default", service: str = "") -> Any:
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "resourceVersion": "7",
            "labels": {"kubernetes.io/service-name": service or name},
        },
        "ports": [{"name": "https", "port": 6443}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


@pytest.mark.parametrize(
    ("slices", "urls"),
    [
        ([endpoint_slice("192.0.2.2", "192.0.2.1")], ("https://192.0.2.1:6443", "https://192.0.2.2:6443")),
        (
            [endpoint_slice("192.0.2.1"), endpoint_slice("2001:db8::1", name="six", service="kubernetes")],
            ("https://192.0.2.1:6443", "https://[2001:db8::1]:6443"),
        ),
        ([endpoint_slice("192.0.2.1", name="web"), endpoint_slice("192.0.2.1", namespace="other")], ()),
        ([{**endpoint_slice("192.0.2.1"), "ports": None}], ()),
        ([{**endpoint_slice(), "endpoints": None}], ()),
    ],
    ids=["sorted", "both families", "of other services", "without a port", "without endpoints"],
)
def test_api_servers_are_the_endpoints_of_the_service_kubernetes(slices: list[Any], urls: tuple[str, ...]) -> None:
    assert api_servers(slices) == urls


def test_the_next_is_used_when_the_current_one_is_given_up_and_only_then() -> None:
    servers = Servers("https://a", "https://b/")
    assert servers.current == "https://a"
    assert not servers.gave_up("https://b")
    assert servers.gave_up("https://a")
    assert not servers.gave_up("https://a"), "somebody else has seen that already"
    assert servers.current == "https://b"
    assert servers.gave_up("https://b")
    assert servers.current == "https://a"


def test_a_single_server_is_never_given_up() -> None:
    assert not Servers("https://a").gave_up("https://a")


def test_nodes_that_are_told_of_the_same_servers_use_all_of_them() -> None:
    urls = ["https://a", "https://b", "https://c"]
    orders = [spread(urls, f"node{i}") for i in range(300)]
    assert all(sorted(order) == urls for order in orders)
    assert orders[0] == spread(reversed(urls), "node0"), "the same after a restart"
    for place in range(3):
        assert all(70 < count < 130 for count in Counter(order[place] for order in orders).values())


async def test_what_is_learnt_comes_after_what_was_told_and_is_replaced() -> None:
    servers, slices = Servers("https://a"), Table(ENDPOINT_SLICE)
    slices.put(Entry.of(ENDPOINT_SLICE, endpoint_slice("192.0.2.1")))
    servers.follow(slices)
    await asyncio.wait_for(servers.changed(), 60)
    assert servers.urls == ("https://a", "https://192.0.2.1:6443")
    slices.put(Entry.of(ENDPOINT_SLICE, endpoint_slice("192.0.2.9")))
    assert servers.urls == ("https://a", "https://192.0.2.9:6443")
    slices.put(Entry.of(ENDPOINT_SLICE, endpoint_slice()))
    assert servers.urls == ("https://a", "https://192.0.2.9:6443"), "no endpoints are no news"


def test_slices_of_other_services_are_not_even_read() -> None:
    slices = Table(ENDPOINT_SLICE)
    Servers("https://a").follow(slices)
    for name in ("web", "kubernetes"):
        slices.put(Entry.of(ENDPOINT_SLICE, endpoint_slice("192.0.2.1", name=name)))
    assert [entry.key.name for entry in slices.entries.values() if entry._object is not None] == ["kubernetes"]


class Api:
    """A server that says its name, and can be away."""

    def __init__(self, name: str) -> None:
        self._server = web.Server(self._answer)
        self._name = name
        self.asked: list[str] = []
        self.open = asyncio.Event()
        self.open.set()

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        self.asked.append(request.path)
        if not request.path.startswith("/apis/coordination.k8s.io/"):
            await self.open.wait()
        return web.json_response({"name": self._name})

    async def start(self) -> str:
        self.listening = await asyncio.get_running_loop().create_server(self._server, "127.0.0.1", 0)
        return f"http://127.0.0.1:{self.listening.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        self.listening.close()
        await self._server.shutdown(0)


@pytest.fixture
async def two() -> AsyncIterator[tuple[Api, Api]]:
    both = Api("one"), Api("two")
    yield both
    for each in both:
        await each.stop()


async def test_a_client_goes_to_the_next_server_and_stays_there(two: tuple[Api, Api], tmp_path: Path) -> None:
    servers = Servers(*[await each.start() for each in two])
    async with HttpClient(servers, ssl.create_default_context) as client:
        assert await client.request("GET", "/") == {"name": "one"}
        await two[0].stop()
        with pytest.raises(Unreachable):
            await client.request("GET", "/")
        assert await client.request("GET", "/") == {"name": "two"}
        assert await client.request("GET", "/") == {"name": "two"}
    one, other = (url.partition("//")[2] for url in servers.urls)
    told = list(counters.lines())
    for code, host, times in (("200", one, 1), ("<error>", one, 1), ("200", other, 2)):
        assert f'rest_client_requests_total{{code="{code}",method="GET",host="{host}"}} {times}' in told


async def test_signs_of_life_overtake_requests_that_wait_for_their_turn(two: tuple[Api, Api]) -> None:
    api, other = two
    url, _ = await api.start(), await other.start()
    api.open.clear()
    async with HttpClient(url, ssl.create_default_context) as client:
        reports = [asyncio.create_task(client.request("PATCH", f"/pods/{number}")) for number in range(9)]
        await asyncio.wait_for(client.get(LEASE, Key("kube-node-lease", "n")), 60)
        assert len(api.asked) <= 3, "two at a time, and the lease"
        api.open.set()
        await asyncio.wait_for(asyncio.gather(*reports), 60)
    assert len(api.asked) == 10
