"""The loop on a real HAProxy where there is one: what it starts, tells and says of its node."""

from __future__ import annotations

import asyncio
import json
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from pylet.agent.ingress import process
from pylet.agent.ingress.loop import Ingresses
from pylet.aio.clock import SystemClock
from pylet.api.gateway import GATEWAY, GATEWAY_CLASS, HTTP_ROUTE, REFERENCE_GRANT
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as SLICE
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.ingress import KIND as INGRESS
from pylet.api.kinds.ingressclass import KIND as INGRESS_CLASS
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.client.interface import Client
from pylet.client.view import Entry, Table
from tests.agent.ingress.gateway_objects import gateway, listener, route, rule
from tests.netns import Lab, needs_netns
from tests.waiting import until

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy", path=process.SEARCHED) is None, reason="needs haproxy")


class World:
    """Stands in for the API: tables to read, and what was written."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.tables = {kind: Table(kind) for kind in (INGRESS, INGRESS_CLASS, SERVICE, SLICE, SECRET, NODE)}
        self.written: list[tuple[Kind, Any]] = []
        self._revision = 0
        self.put(INGRESS_CLASS, {"metadata": {"name": "pylet"}, "spec": {"controller": "pylet.io/ingress"}})
        self.put(NODE, {"metadata": {"name": "here"}})

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        return self.tables[kind]

    async def object_table(self, kind: Kind, key: Key) -> Table:
        return self.tables[kind]

    def release(self, kind: Kind, key: Key) -> None:
        pass

    async def patch(self, kind: Kind, key: Key, patch: Any, **_: Any) -> Object:
        self.written.append((kind, patch))
        return {}

    async def create(self, kind: Kind, obj: Object, **_: Any) -> Object:
        self.written.append((kind, obj))
        return obj

    def put(self, kind: Kind, obj: Object) -> None:
        self._revision += 1
        meta = {**obj["metadata"], "resourceVersion": str(self._revision)}
        self.tables[kind].put(Entry.of(kind, {**obj, "metadata": meta}))

    def add_ingress(self, **spec: Any) -> None:
        meta = {"namespace": "a", "name": "web", "uid": "u"}
        spec = {
            "ingressClassName": "pylet",
            "defaultBackend": {"service": {"name": "x", "port": {"number": 80}}},
            **spec,
        }
        self.put(INGRESS, {"metadata": meta, "spec": spec})

    @property
    def events(self) -> list[tuple[str, str]]:
        return [(obj["reason"], obj["message"]) for kind, obj in self.written if kind is EVENT and "reason" in obj]

    @property
    def serves(self) -> list[str | None]:
        return [obj["metadata"]["annotations"]["pylet.io/ingress"] for kind, obj in self.written if kind is NODE]


@asynccontextmanager
async def running(world: World) -> AsyncIterator[None]:
    client = cast(Client, world)
    loop = Ingresses(client, world, world, world.tables, SystemClock(), node="here", directory=world.directory)
    task = asyncio.create_task(loop.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
        assert task.cancelled(), task.exception()


async def test_nothing_is_said_of_a_node_that_is_not_yet_registered(tmp_path: Path) -> None:
    world = World(tmp_path / "ingress")
    world.tables[NODE].remove(Key("", "here"))
    async with running(world):
        await asyncio.sleep(0.1)
        assert world.serves == []
        world.put(NODE, {"metadata": {"name": "here"}})
        await until(lambda: world.serves == [None])


async def test_without_an_ingress_nothing_is_started_or_written(tmp_path: Path) -> None:
    world = World(tmp_path / "ingress")
    async with running(world):
        await until(lambda: world.serves == [None])
    assert not world.directory.exists()


async def test_a_machine_without_haproxy_says_so_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "SEARCHED", str(tmp_path))
    world = World(tmp_path / "ingress")
    world.add_ingress()
    async with running(world):
        await until(lambda: len(world.events) == 2)
        world.add_ingress(rules=[{"host": "h.test"}])
        await asyncio.sleep(0.1)
    missing = "node here: no haproxy on this machine: install the package haproxy"
    assert sorted(world.events) == [("ProxyMissing", missing), ("ServiceNotFound", 'Service "a/x" is not there')]
    assert world.serves == [None]


async def _echo(request: web.BaseRequest) -> web.StreamResponse:
    """What the request said; a WebSocket gets its own words back."""
    if "Upgrade" not in request.headers:
        return web.json_response(dict(request.headers))
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    await answer.send_str("hello " + await answer.receive_str())
    await answer.close()
    return answer


@asynccontextmanager
async def served(directory: Path, **of_class: str) -> AsyncIterator[tuple[World, Lab]]:
    """A node with an Ingress that leads to `_echo`, and a client on the same link."""
    with Lab(nodes=1, client=True) as lab, lab.nodes[0].entered():
        backend = await asyncio.get_running_loop().create_server(web.Server(_echo), "127.0.0.1", 0)
        number = backend.sockets[0].getsockname()[1]
        world = World(directory)
        spec = {"controller": "pylet.io/ingress"}
        world.put(INGRESS_CLASS, {"metadata": {"name": "pylet", "annotations": of_class}, "spec": spec})
        world.put(SERVICE, {"metadata": {"namespace": "a", "name": "x"}, "spec": {"ports": [{"port": 80}]}})
        world.put(
            SLICE,
            {
                "metadata": {"namespace": "a", "name": "x-1", "labels": {"kubernetes.io/service-name": "x"}},
                "addressType": "IPv4",
                "ports": [{"port": number}],
                "endpoints": [{"addresses": ["127.0.0.1"], "conditions": {"ready": True}}],
            },
        )
        world.add_ingress()
        try:
            async with running(world), backend:
                await until(lambda: world.serves == ["true"])
                yield world, lab
        finally:
            process.Haproxy(directory, SystemClock()).stop()


async def _curl(lab: Lab, *options: str) -> str:
    assert lab.client is not None
    return await asyncio.to_thread(lab.client.run, "curl", "-s", "-m", "20", *options)


@needs_haproxy
@needs_netns
async def test_a_backend_hears_who_asks_and_nothing_made_up(tmp_path: Path) -> None:
    async with served(tmp_path / "i") as (_, lab):
        node = lab.nodes[0]
        for address in (node.ip, f"[{node.ip6}]"):
            said = json.loads(await _curl(lab, "-H", "X-Forwarded-For: 1.2.3.4", f"http://{address}/"))
            assert said["X-Forwarded-For"] in (lab.client.ip, lab.client.ip6)  # type: ignore[union-attr]
            assert (said["X-Forwarded-Proto"], said["X-Forwarded-Port"]) == ("http", "80")


@needs_haproxy
@needs_netns
async def test_a_load_balancer_before_the_node_may_say_who_asks(tmp_path: Path) -> None:
    async with served(tmp_path / "i", **{"pylet.io/proxy-protocol": "true"}) as (_, lab):
        said = json.loads(await _curl(lab, "--haproxy-protocol", f"http://{lab.nodes[0].ip}/"))
        assert said["X-Forwarded-For"] == lab.client.ip  # type: ignore[union-attr]
        with pytest.raises(AssertionError):
            await _curl(lab, f"http://{lab.nodes[0].ip}/")


@needs_haproxy
@needs_netns
async def test_a_websocket_passes(tmp_path: Path) -> None:
    async with (
        served(tmp_path / "i") as (_, lab),
        aiohttp.ClientSession() as session,
        session.ws_connect(f"http://{lab.nodes[0].ip}/") as spoken,
    ):
        await spoken.send_str("you")
        assert await spoken.receive_str() == "hello you"


@needs_haproxy
@needs_netns
async def test_a_secret_that_is_no_certificate_is_told_and_the_rest_is_served(tmp_path: Path) -> None:
    async with served(tmp_path / "i") as (world, lab):
        data = {"tls.crt": "eA==", "tls.key": "eA=="}
        world.put(SECRET, {"metadata": {"namespace": "a", "name": "bad"}, "data": data})
        world.add_ingress(tls=[{"secretName": "bad", "hosts": ["h.test"]}])
        await until(lambda: "InvalidTLS" in dict(world.events))
        assert "X-Forwarded-For" in await _curl(lab, f"http://{lab.nodes[0].ip}/")


@needs_haproxy
@needs_netns
async def test_a_port_that_is_taken_is_told_and_taken_when_it_is_free(tmp_path: Path) -> None:
    with Lab(nodes=1) as lab, lab.nodes[0].entered():
        world = World(tmp_path / "i")
        world.add_ingress()
        with socket.create_server(("0.0.0.0", 80)):
            async with running(world):
                await until(lambda: "ProxyFailed" in dict(world.events))
                assert world.serves == [None]
        async with running(world):
            await until(lambda: world.serves[-1] == "true")
        process.Haproxy(world.directory, SystemClock()).stop()


@needs_haproxy
@needs_netns
async def test_a_gateways_port_that_is_taken_is_told_and_the_rest_is_served(tmp_path: Path) -> None:
    async with served(tmp_path / "i") as (world, lab):
        for kind in (GATEWAY_CLASS, GATEWAY, HTTP_ROUTE, REFERENCE_GRANT, NAMESPACE):
            world.tables[kind] = Table(kind)
        spec = {"controllerName": "pylet.io/gateway-controller"}
        world.put(GATEWAY_CLASS, {"metadata": {"name": "pylet"}, "spec": spec})
        world.put(GATEWAY, {"kind": "Gateway", **gateway(listener("a", 8081), listener("b", 8082))})
        world.put(HTTP_ROUTE, route("r", rule("x")))
        with socket.create_server(("0.0.0.0", 8081)):
            world.put(NODE, {"metadata": {"name": "here", "annotations": {"pylet.io/gateway": "true"}}})
            await until(lambda: "PortUnavailable" in dict(world.events))
            await until(lambda: (tmp_path / "i/8082.hosts.map").exists())
            for port in (80, 8082):
                assert "X-Forwarded-For" in await _curl(
                    lab, "--retry", "4", "--retry-all-errors", f"http://{lab.nodes[0].ip}:{port}/"
                )
        world.add_ingress()
        await until(lambda: "bind 0.0.0.0:8081" in (tmp_path / "i/haproxy.cfg").read_text())
