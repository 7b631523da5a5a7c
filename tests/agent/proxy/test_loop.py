"""The loop keeps the kernel's table equal to the tables of the API, whatever happens to either."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from pylet.agent import nft
from pylet.agent.proxy.loop import Proxy, Sources
from pylet.agent.proxy.model import Here
from pylet.agent.proxy.rules import Layout
from pylet.aio.clock import SystemClock
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.api.timestamps import format_micro
from pylet.client.view import Entry, Table
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until

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
        self.nodes, self.pods = Table(NODE), Table(POD)

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
        sources = Sources(services=world.services, slices=world.slices, nodes=world.nodes, pods=world.pods)
        proxy = Proxy(sources, SystemClock(), here=Here("here", addresses=("10.77.0.11",)), layout=Layout())
        task = asyncio.create_task(proxy.run())
        try:
            await asyncio.wait_for(proxy.written.wait(), 60)
            yield proxy
        finally:
            task.cancel()
            await asyncio.wait([task])


async def test_it_follows_services_and_endpoints() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"))
        async with running(world):
            assert "10.43.0.7 . tcp . 80" in world.rules()
            world.put(item=_slice("web", "10.42.0.1", "10.42.0.2", revision=2))
            await until(lambda: "10.43.0.7 . tcp . 80 : 10.42.0.2 . 8080" in world.rules())
            world.put(item=_slice("web", "10.42.0.1", revision=3))
            await until(lambda: "10.42.0.2" not in world.rules())
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
            world.put(item=_slice("web", revision=2))
            world.node.run("nft", "delete element inet pylet service4 { 10.43.0.7 . tcp . 80 }")
            await until(lambda: "10.43.0.7 . tcp . 80 }" in world.rules() and "10.42.0.1" not in world.rules())


async def test_elements_that_somebody_deletes_come_back() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            for mischief in (
                "flush map inet pylet endpoint4",
                "delete element inet pylet service4 { 10.43.0.7 . tcp . 80 }",
            ):
                world.node.run("nft", mischief)
                await until(lambda: world.rules().count("10.43.0.7 . tcp . 80 : ") == 2)


async def test_a_service_of_many_endpoints_brings_its_chain_along() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            world.put(item=_slice("web", *(f"10.42.0.{n}" for n in range(1, 13)), revision=2))
            await until(lambda: "10.43.0.7 . tcp . 80 : goto pick4-12" in world.rules())


async def test_what_two_ask_for_goes_to_the_first_and_then_to_the_other() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        balanced = {"type": "LoadBalancer"}
        status = {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}}
        for name, address, endpoint in (("one", "10.43.0.7", "10.42.0.1"), ("two", "10.43.0.8", "10.42.0.2")):
            world.put(_service(name, address, **balanced) | {"status": status}, _slice(name, endpoint))
        async with running(world):
            assert "192.0.2.7 . tcp . 80 : 10.42.0.1 . 8080" in world.rules()
            world.services.remove(Key("default", "one"), 4)
            await until(lambda: "192.0.2.7 . tcp . 80 : 10.42.0.2 . 8080" in world.rules())


async def test_a_pods_host_port_comes_and_goes_with_it() -> None:
    pod = {
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "1"},
        "spec": {
            "nodeName": "here",
            "containers": [{"ports": [{"containerPort": 8080, "hostPort": 9000, "hostIP": "127.0.0.1"}]}],
        },
        "status": {"phase": "Running", "podIPs": [{"ip": "10.42.0.1"}]},
    }
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        meta = {**pod["metadata"], "name": "elsewhere"}
        elsewhere = {**pod, "metadata": meta, "spec": {**pod["spec"], "nodeName": "there"}}
        async with running(world):
            world.pods.put(
                Entry.of(POD, {**elsewhere, "status": {"phase": "Running", "podIPs": [{"ip": "10.42.1.1"}]}})
            )
            world.pods.put(Entry.of(POD, pod))
            await until(lambda: "127.0.0.1 . tcp . 9000 : 10.42.0.1 . 8080" in world.rules())
            assert "10.42.1.1" not in world.rules()
            world.pods.remove(Key("default", "web"), 2)
            await until(lambda: "9000" not in world.rules())


@pytest.mark.parametrize(
    ("protocol", "options"), [("udp", "-t 60"), ("sctp", "-t 60 --state ESTABLISHED --orig-vtag 1 --reply-vtag 2")]
)
async def test_flows_leave_an_endpoint_that_goes(protocol: str, options: str) -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        service = _service("dns", "10.43.0.7", ports=[{"port": 53, "protocol": protocol.upper()}])
        ports = [{"port": 53, "protocol": protocol.upper()}]
        world.put(service, _slice("dns", "10.42.0.1") | {"ports": ports})
        async with running(world):
            for host, port in (("7", "1"), ("8", "2")):
                flow = f"-p {protocol} {options} --src 10.42.0.9 --sport {port} --dst 10.43.0.{host} --dport 53 "
                reply = f"--reply-src 10.42.0.1 --reply-dst 10.42.0.9 --reply-port-src 53 --reply-port-dst {port}"
                world.node.run("conntrack", "-I", *(flow + reply).split())
            world.put(item=_slice("dns", "10.42.0.2", revision=2) | {"ports": ports})
            await until(lambda: "dst=10.43.0.7" not in world.node.run("conntrack", "-L"))
            assert "dst=10.43.0.8" in world.node.run("conntrack", "-L")


async def test_a_slice_of_a_headless_service_counts_for_nothing() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            assert "10.42.0.1" in world.rules()
            headless = _slice("web", "10.42.0.1", revision=2)
            headless["metadata"]["labels"]["service.kubernetes.io/headless"] = ""
            world.put(item=headless)
            await until(lambda: "10.42.0.1" not in world.rules())


async def test_the_proxy_says_how_it_is() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])

        async def ask(url: str) -> str:
            return await asyncio.to_thread(world.node.run, "curl", "-sgi", f"http://{url}")

        node: Object = {"metadata": {"name": "here"}, "spec": {}}
        world.nodes.put(Entry.of(NODE, node))
        async with running(world):
            for address in ("127.0.0.1", "[::1]", "10.77.0.11"):
                said = await ask(f"{address}:10256/healthz")
                assert "200 OK" in said
                assert "lastUpdated" in said
            assert (await ask("127.0.0.1:10249/proxyMode")).endswith("nftables")
            assert "404" in await ask("127.0.0.1:10249/else")
            leaving = [{"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"}]
            world.nodes.put(Entry.of(NODE, {**node, "spec": {"taints": leaving}}))
            said = await ask("127.0.0.1:10256/healthz")
            assert "503 Service Unavailable" in said
            assert '"nodeEligible": false' in said
            assert "200 OK" in await ask("127.0.0.1:10256/livez")
            wait = "/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"
            assert world.node.run("cat", wait).strip() == "3600"


async def test_what_it_writes_and_how_late_is_counted() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        world.put(_service("web", "10.43.0.7"), _slice("web", "10.42.0.1"))
        async with running(world):
            await until(lambda: "10.42.0.1" in world.rules())
            changed = _slice("web", "10.42.0.2", revision=2)
            now = format_micro(datetime.now(UTC) + timedelta(seconds=1))  # after the proxy's start, whatever the second
            changed["metadata"]["annotations"] = {"endpoints.kubernetes.io/last-change-trigger-time": now}
            world.put(item=changed)
            await until(lambda: "10.42.0.2" in world.rules())
            said = await asyncio.to_thread(world.node.run, "curl", "-sg", "http://127.0.0.1:10249/metrics")
            prefix, family = "kubeproxy_sync_proxy_rules", '{ip_family="IPv4"}'
            for line in (
                f"kubeproxy_sync_full_proxy_rules_duration_seconds_count{family} 1",
                f"kubeproxy_network_programming_duration_seconds_count{family} 1",
                f"{prefix}_service_changes_pending 0",
                f"{prefix}_endpoint_changes_total 2",
            ):
                assert f"\n{line}\n" in said, line
            count = f"{prefix}_duration_seconds_count{family} "
            assert int(said.partition(count)[2].partition("\n")[0]) >= 2


async def test_a_health_check_port_counts_this_nodes_endpoints() -> None:
    with Lab(nodes=1) as lab:
        world = World(lab.nodes[0])
        local = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000}
        world.put(_service("web", "10.43.0.7", **local), _slice("web", "10.42.0.1"))

        async def ask() -> str:
            return await asyncio.to_thread(world.node.run, "curl", "-si", "http://10.77.0.11:31000/")

        async with running(world):
            assert "HTTP/1.1 503" in await ask()
            here = [{"addresses": ["10.42.0.1"], "nodeName": "here"}]
            world.put(item=_slice("web", revision=2) | {"endpoints": here})
            await until(lambda: "10.42.0.1 . 10.42.0.1" in world.rules())
            await asyncio.sleep(0)
            said = await ask()
            assert "HTTP/1.1 200" in said
            assert '"localEndpoints": 1' in said
            assert "X-Load-Balancing-Endpoint-Weight: 1" in said


def test_remove_is_silent_where_nothing_is() -> None:
    with Lab(nodes=1) as lab, lab.nodes[0].entered():
        nft.remove("pylet")
        nft.remove("pylet")
