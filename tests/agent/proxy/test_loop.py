"""The loop keeps the kernel's table equal to the tables of the API, whatever happens to either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from pylet.agent.proxy import nft
from pylet.agent.proxy.loop import Proxy
from pylet.agent.proxy.ruleset import Layout
from pylet.aio.clock import SystemClock
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table
from tests.netns import Lab, Member, needs_netns

pytestmark = needs_netns


def _service(name: str, address: str, revision: int = 1, **spec: object) -> Object:
    return {
        "metadata": {"name": name, "namespace": "default", "resourceVersion": str(revision)},
        "spec": {"clusterIP": address, "clusterIPs": [address], "ports": [{"port": 80, "protocol": "TCP"}], **spec},
    }


def _slice(service: str, *addresses: str, revision: int = 1) -> Object:
    labels = {"kubernetes.io/service-name": service}
    return {
        "metadata": {
            "name": f"{service}-1",
            "namespace": "default",
            "labels": labels,
            "resourceVersion": str(revision),
        },
        "addressType": "IPv4",
        "ports": [{"port": 8080, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address]} for address in addresses],
    }


class World:
    def __init__(self, node: Member) -> None:
        self.node, self.services, self.slices = node, Table(SERVICE), Table(ENDPOINT_SLICE)

    def put(self, service: Object | None = None, item: Object | None = None) -> None:
        if service:
            self.services.put(Entry.of(SERVICE, service))
        if item:
            self.slices.put(Entry.of(ENDPOINT_SLICE, item))

    def rules(self) -> str:
        return self.node.run("nft", "list", "table", "inet", "pylet", check=False)


@asynccontextmanager
async def running(world: World) -> AsyncIterator[Proxy]:
    with world.node.entered():
        proxy = Proxy(world.services, world.slices, SystemClock(), node="here", layout=Layout())
        task = asyncio.create_task(proxy.run())
        try:
            await asyncio.wait_for(proxy.written.wait(), 10)
            yield proxy
        finally:
            task.cancel()
            await asyncio.wait([task])


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what is awaited happens in the kernel
            await asyncio.sleep(0.02)


async def test_it_follows_services_and_endpoints() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"))
        async with running(world):
            assert "10.43.0.7 . tcp . 80" in world.rules()
            world.put(item=_slice("web", "10.42.0.1", "10.42.0.2", revision=2))
            await until(lambda: "10.43.0.7 . tcp . 80 : 10.42.0.2 . 8080" in world.rules())
            world.put(item=_slice("web", "10.42.0.1", revision=3))
            await until(lambda: "10.42.0.2" not in world.rules() and "pick-service4-2" not in world.rules())
            world.services.remove(Key("default", "web"), 4)
            await until(lambda: "10.43.0.7" not in world.rules())


async def test_the_rules_stay_when_it_stops_and_are_taken_over_when_it_starts() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            pass
        assert "10.42.0.1 . 8080" in world.rules()
        world.put(item=_slice("web", "10.42.0.9", revision=2))  # while nobody looked
        async with running(world):
            assert "10.42.0.9 . 8080" in world.rules()
            assert "10.42.0.1 . 8080" not in world.rules()


async def test_a_flushed_ruleset_comes_back() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            for flush in ("flush ruleset", "delete table inet pylet", "flush table inet pylet"):
                world.node.run("nft", flush)
                await until(lambda: "jump services" in world.rules() and "10.42.0.1 . 8080" in world.rules())


async def test_a_change_that_the_kernel_refuses_leads_to_a_full_write() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            # an element that is to go is gone already: the transaction fails as a whole
            world.node.run("nft", "delete element inet pylet service4 { 10.43.0.7 . tcp . 80 }")
            world.put(item=_slice("web", revision=2))
            await until(lambda: "refused-service4" in world.rules() and "10.42.0.1" not in world.rules())


def test_remove_is_silent_where_nothing_is() -> None:
    with Lab(nodes=1) as lab, lab.nodes[0].entered():
        nft.remove("pylet")
        nft.remove("pylet")
