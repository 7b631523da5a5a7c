"""The service proxy and network policies against a real kernel, in a network namespace of their own (root).

    python bench/proxy.py [SERVICES]

Prints what a full load, one changed service and a churn of endpoints cost, what tables and proxy keep in memory, how
long 1,000 pods' policies take, and connections per second direct and through a service.
"""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pylet.agent import slim
from pylet.agent.policy.loop import Policies
from pylet.agent.proxy.loop import Proxy, Sources
from pylet.agent.proxy.model import Here
from pylet.agent.proxy.rules import Layout
from pylet.aio.clock import SystemClock
from pylet.aio.memory import give_back
from pylet.api.kind import Kind
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.kinds.networkpolicy import KIND as NETWORK_POLICY
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object
from pylet.client.view import Entry, Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.netns import Lab, Member

CHURN_SECONDS, CHURN_PER_SECOND = 5, 100
CONNECTIONS = 6000


def service(number: int) -> Object:
    address = f"10.43.{number >> 8}.{number & 255}"
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _meta(f"service-{number}", number),
        "spec": {
            "type": "ClusterIP",
            "clusterIP": address,
            "clusterIPs": [address],
            "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
            "selector": {"app": f"app-{number}"},
            "sessionAffinity": "None",
            "ipFamilies": ["IPv4"],
            "ipFamilyPolicy": "SingleStack",
            "internalTrafficPolicy": "Cluster",
        },
        "status": {"loadBalancer": {}},
    }


def slice_of(number: int, *, revision: int = 0, changed: int = 0) -> Object:
    endpoints = [
        {
            "addresses": [f"10.42.{(number + 77 * index + changed * (index == 0)) % 250}.{2 + index}"],
            "conditions": {"ready": True, "serving": True, "terminating": False},
            "nodeName": f"node-{index}",
            "targetRef": {"kind": "Pod", "namespace": "default", "name": f"app-{number}-{index}", "uid": f"{number}"},
        }
        for index in range(3)
    ]
    meta = _meta(f"service-{number}-x", revision or number)
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": f"service-{number}"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        "endpoints": endpoints,
    }


def _meta(name: str, revision: int) -> Object:
    uid = f"00000000-0000-0000-0000-{revision:012}"
    created = "2026-01-02T03:04:05Z"
    return {
        "name": name,
        "namespace": "default",
        "uid": uid,
        "resourceVersion": str(revision),
        "creationTimestamp": created,
    }


def rss_mib() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / (1 << 20)


def cpu_seconds() -> float:
    """Of this process and of children that ended."""
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


async def proxy(count: int) -> None:
    services, slices = Table(SERVICE), Table(ENDPOINT_SLICE)
    sources = Sources(services=services, slices=slices, nodes=Table(NODE), pods=Table(POD))
    before = rss_mib()
    for number in range(1, count + 1):
        services.put(Entry.of(SERVICE, slim.service(service(number))))
        slices.put(Entry.of(ENDPOINT_SLICE, slim.endpoint_slice("node-1", slice_of(number))))
    give_back()
    filled = rss_mib()
    running = Proxy(sources, SystemClock(), here=Here("node-1", addresses=("10.77.0.11",)), layout=Layout())
    began, burnt = time.perf_counter(), cpu_seconds()
    task = asyncio.create_task(running.run())
    await running.written.wait()
    took, burnt = time.perf_counter() - began, cpu_seconds() - burnt
    print(f"full load of {count} services: {took:.2f} s, {burnt:.2f} CPU s")
    give_back()
    print(f"memory: tables {filled - before:.1f} MiB, proxy {rss_mib() - filled:.1f} MiB more")
    delays = []
    for turn in range(1, 51):
        running.written.clear()
        began = time.perf_counter()
        slices.put(Entry.of(ENDPOINT_SLICE, slice_of(turn, revision=count + turn, changed=1)))
        await running.written.wait()
        delays.append((time.perf_counter() - began) * 1000)
        await asyncio.sleep(0.01)
    delays.sort()
    print(f"one service changed, event to kernel: p50 {delays[25]:.1f} ms, worst {delays[-1]:.1f} ms")
    burnt = cpu_seconds()
    for turn in range(CHURN_SECONDS * CHURN_PER_SECOND):
        slices.put(Entry.of(ENDPOINT_SLICE, slice_of(1 + turn % count, revision=2 * count + turn, changed=2)))
        await asyncio.sleep(1 / CHURN_PER_SECOND)
    share = (cpu_seconds() - burnt) / CHURN_SECONDS
    task.cancel()
    await asyncio.wait([task])
    burnt = cpu_seconds()
    for turn in range(CHURN_SECONDS * CHURN_PER_SECOND):
        slices.put(Entry.of(ENDPOINT_SLICE, slice_of(1 + turn % count, revision=3 * count + turn, changed=3)))
        await asyncio.sleep(1 / CHURN_PER_SECOND)
    events = (cpu_seconds() - burnt) / CHURN_SECONDS
    print(
        f"{CHURN_PER_SECOND} endpoints changed a second: {share - events:.1%} of a core, and {events:.1%} to make them"
    )


class Given:
    """Tables as they are."""

    def __init__(self, tables: dict[Kind, Table]) -> None:
        self._tables = tables

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        return self._tables[kind]

    async def object_table(self, kind: Kind, key: Key) -> Table:
        return self._tables[kind]

    def release(self, kind: Kind, key: Key) -> None:
        pass


async def policies(pods: int) -> None:
    tables = {kind: Table(kind) for kind in (POD, NAMESPACE, NETWORK_POLICY)}
    for number in range(10):
        labels = {"kubernetes.io/metadata.name": f"space-{number}"}
        tables[NAMESPACE].put(Entry.of(NAMESPACE, {"metadata": {"name": f"space-{number}", "labels": labels}}))
        rule = {
            "from": [{"podSelector": {"matchLabels": {"tier": "web"}}}, {"namespaceSelector": {"matchLabels": labels}}]
        }
        for tier in ("web", "data"):
            spec = {"podSelector": {"matchLabels": {"tier": tier}}, "policyTypes": ["Ingress"], "ingress": [rule]}
            meta = {"name": tier, "namespace": f"space-{number}"}
            tables[NETWORK_POLICY].put(Entry.of(NETWORK_POLICY, {"metadata": meta, "spec": spec}))
    for number in range(pods):
        labels = {"tier": "web" if number % 2 else "data", "app": f"app-{number % 50}"}
        tables[POD].put(
            Entry.of(
                POD,
                {
                    "metadata": {"name": f"pod-{number}", "namespace": f"space-{number % 10}", "labels": labels},
                    "spec": {"nodeName": f"node-{number % 10}", "containers": [{}]},
                    "status": {"phase": "Running", "podIPs": [{"ip": f"10.42.{number >> 8}.{number & 255}"}]},
                },
            )
        )
    running = Policies(Given(tables), SystemClock(), node="node-1")
    began = time.perf_counter()
    task = asyncio.create_task(running.run())
    await running.written.wait()
    print(f"20 policies and {pods} pods: {time.perf_counter() - began:.2f} s")
    task.cancel()
    await asyncio.wait([task])


def rate(caller: Member, address: str, port: int) -> float:
    """New connections a second from one thread."""
    with caller.entered():
        began = time.perf_counter()
        for _ in range(CONNECTIONS):
            socket.create_connection((address, port)).close()
        return CONNECTIONS / (time.perf_counter() - began)


def connections(pod: Member, callers: list[Member], install: Callable[[], None]) -> None:
    with pod.entered():
        server = socket.create_server(("", 8080), backlog=1000)

    def serve() -> None:
        while True:
            server.accept()[0].close()

    threading.Thread(target=serve, daemon=True).start()
    rate(callers[0], pod.ip, 8080)
    bare = rate(callers[0], pod.ip, 8080)
    install()
    # from different callers: a flow that conntrack remembers must not meet the same ports again
    places = (pod.ip, 8080), ("10.43.200.1", 80)
    direct, through = (
        max(rate(caller, *place) for _ in range(3)) for caller, place in zip(callers, places, strict=True)
    )
    print(f"connections a second: {bare:.0f} with no rules, {direct:.0f} direct, {through:.0f} through a service")


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    with Lab(nodes=1) as lab:
        (one,) = lab.nodes
        with one.entered():
            asyncio.run(proxy(count))
            asyncio.run(policies(1000))
    with Lab(nodes=1) as lab:
        (one,) = lab.nodes
        pod, *callers = (lab.pod(one, f"10.42.1.{host}") for host in (2, 3, 4))
        one.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
        one.run("ip", "route", "add", "10.43.0.0/16", "dev", "eth0")
        for member in (one, pod, *callers):
            member.run("sysctl", "-qw", "net.ipv4.ip_local_port_range=1024 65000", "net.ipv4.tcp_tw_reuse=1")

        def install() -> None:
            asyncio.run(_leave_rules(one, count))

        connections(pod, callers, install)


async def _leave_rules(node: Member, count: int) -> None:
    services, slices = Table(SERVICE), Table(ENDPOINT_SLICE)
    for number in range(1, count + 1):
        services.put(Entry.of(SERVICE, service(number)))
        slices.put(Entry.of(ENDPOINT_SLICE, slice_of(number)))
    own, its = service(200 * 256 + 1), slice_of(200 * 256 + 1)
    its["endpoints"] = [{"addresses": ["10.42.1.2"], "nodeName": "node-1"}]
    services.put(Entry.of(SERVICE, own))
    slices.put(Entry.of(ENDPOINT_SLICE, its))
    sources = Sources(services=services, slices=slices, nodes=Table(NODE), pods=Table(POD))
    with node.entered():
        running = Proxy(sources, SystemClock(), here=Here("node-1"), layout=Layout())
        task = asyncio.create_task(running.run())
        await running.written.wait()
        task.cancel()
        await asyncio.wait([task])


if __name__ == "__main__":
    main()
