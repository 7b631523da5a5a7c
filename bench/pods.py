"""A node's pods on a real containerd: how soon they start, what they cost while they run, how soon a crash is mended.

    python bench/pods.py [start] [idle] [restart]

The cluster is that of the end-to-end tests (root, containerd): a server and, on a node of its own, the `pylet agent`
that is measured. The floor is what containerd itself takes in the same run for the same sandboxes and containers:
RunPodSandbox, CreateContainer, StartContainer, one by one or as many at a time as go fastest.
"""

from __future__ import annotations

import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import uuid4

import aiohttp
import orjson

from pylet.agent.kubelet.config import Surroundings, container_config, sandbox_config
from pylet.agent.kubelet.group_names import GroupNames
from pylet.agent.kubelet.security import ImageUser
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.cri.grpc import GrpcRuntime
from pylet.cri.messages import Container, ContainerState

sys.path.insert(0, str(Path(__file__).parents[1]))
from bench.workloads import Usage, ask, trust
from tests.e2e.cluster import Cluster, Node

PODS = "/api/v1/namespaces/default/pods"
IMAGE = "pylet.local/busybox:1"
ONES, AT_ONCE = 10, (2, 4, 8, 16)
IDLE_SECONDS = 120
PATIENCE_SECONDS = 300
CONNECTIONS = 5  # the watch's, and as many as a controller has: each costs either side 3 ms of CPU
PROBES: dict[str, Any] = {
    "http": {"httpGet": {"path": "/etc/hosts", "port": 8080}},
    "tcp": {"tcpSocket": {"port": 8080}},
    "exec": {"exec": {"command": ["true"]}},
}


def a_pod(name: str, probe: str = "") -> dict[str, Any]:
    container: dict[str, Any] = {"name": "c", "image": IMAGE, "command": ["httpd", "-f", "-p", "8080", "-h", "/"]}
    if probe:
        container["livenessProbe"] = PROBES[probe] | {"periodSeconds": 10}
    place = {"kubernetes.io/hostname": "node2"}
    spec = {"containers": [container], "nodeSelector": place, "terminationGracePeriodSeconds": 1}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}


# ---- the floor


async def floor(node: Node, runtime: GrpcRuntime, count: int, at_once: int) -> tuple[list[float], float]:
    """Seconds until each runs, all asked for at once, and until all do; they are gone afterwards."""
    logs = node.directory / "pod-logs"
    groups = GroupNames(node.cgroup)
    settings = Settings(node_name="", host_ips=(), root=node.directory, log_root=logs, groups=groups)
    turns, sandboxes, seconds = asyncio.Semaphore(at_once), list[str](), list[float]()
    begin = time.monotonic()

    async def start() -> None:
        pod = a_pod("floor")
        pod["metadata"] |= {"namespace": "default", "uid": str(uuid4())}
        sandbox = sandbox_config(pod, settings, 0)
        around = Surroundings({}, Bindings(), {}, IMAGE, 0, ImageUser())
        container = container_config(pod, pod["spec"]["containers"][0], around, settings)
        async with turns:
            sandboxes.append(id_ := await runtime.run_sandbox(sandbox))
            await runtime.start_container(await runtime.create_container(id_, container, sandbox))
        seconds.append(time.monotonic() - begin)

    await asyncio.gather(*(start() for _ in range(count)))
    whole = time.monotonic() - begin
    for id_ in sandboxes:
        await runtime.stop_sandbox(id_)
        await runtime.remove_sandbox(id_)
    return seconds, whole


async def best_floor(node: Node, runtime: GrpcRuntime, count: int) -> tuple[list[float], float, int]:
    """That of the best number at a time, and which that is."""
    runs = [(*await floor(node, runtime, count, at_once), at_once) for at_once in AT_ONCE]
    return min(runs, key=lambda run: run[1])


# ---- pylet


class Pods:
    """When each pod got where, as a watch tells it."""

    def __init__(self, http: aiohttp.ClientSession, runtime: GrpcRuntime) -> None:
        self._http = http
        self.runtime = runtime
        self.running: dict[str, float] = {}
        self.ready: dict[str, float] = {}
        self.there: set[str] = set()
        self._changed = asyncio.Event()

    async def follow(self, lines: aiohttp.StreamReader) -> None:
        async for line in lines:
            now, event = time.monotonic(), orjson.loads(line)
            pod = event["object"]
            name, status = pod["metadata"]["name"], pod["status"]
            if event["type"] == "DELETED":
                self.there.discard(name)
            else:
                self.there.add(name)
                if status.get("phase") == "Running":
                    self.running.setdefault(name, now)
                if any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions", ())):
                    self.ready.setdefault(name, now)
            self._changed.set()

    async def start(self, count: int, probes: Callable[[int], str] = lambda _: "") -> tuple[list[float], list[float]]:
        """Seconds from the request until each is seen Running, and Ready."""
        begin: dict[str, float] = {}

        async def create(number: int) -> None:
            name = f"pod-{uuid4().hex[:8]}"
            begin[name] = time.monotonic()
            await ask(self._http, "POST", PODS, a_pod(name, probes(number)))

        await asyncio.gather(*(create(number) for number in range(count)))
        await self._until(lambda: begin.keys() <= self.ready.keys())

        def since(when: dict[str, float]) -> list[float]:
            return [when[name] - moment for name, moment in begin.items()]

        return since(self.running), since(self.ready)

    async def remove(self) -> None:
        await ask(self._http, "DELETE", PODS)
        await self._until(lambda: not self.there)
        while await self.runtime.list_sandboxes():  # noqa: ASYNC110
            await asyncio.sleep(0.1)

    async def _until(self, check: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not check():
                self._changed.clear()
                await self._changed.wait()


@asynccontextmanager
async def watching(cluster: Cluster) -> AsyncIterator[Pods]:
    connector = aiohttp.TCPConnector(ssl=trust(cluster.kubeconfig), limit=CONNECTIONS)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(cluster.url, connector=connector, timeout=timeout) as http:
        runtime = GrpcRuntime(str(cluster.nodes[1].containerd.socket))
        pods = Pods(http, runtime)
        async with http.get(PODS, params={"watch": "1"}, read_bufsize=1 << 22) as watch, asyncio.TaskGroup() as group:
            follower = group.create_task(pods.follow(watch.content))
            yield pods
            follower.cancel()
            await runtime.close()


# ---- what is measured


def used(node: Node) -> Usage:
    assert node.process is not None
    return Usage.of(node.process)


async def start(cluster: Cluster, pods: Pods) -> None:
    node, p50 = cluster.nodes[1], statistics.median
    await floor(node, pods.runtime, 1, 1)
    await pods.start(1)  # the first of all loads code
    floors, running, ready = list[float](), list[float](), list[float]()
    for _ in range(ONES):
        floors += (await floor(node, pods.runtime, 1, 1))[0]
        one = await pods.start(1)
        running += one[0]
        ready += one[1]
        await pods.remove()
    times = f"Running {p50(running):.3f} s, Ready {p50(ready):.3f} s, floor {p50(floors):.3f} s"
    print(f"1 pod     p50 of {ONES}: {times}: {p50(running) / p50(floors):.2f} of it", flush=True)
    for count in (10, 100):
        least, whole, at_once = await best_floor(node, pods.runtime, count)
        before = used(node)
        running, ready = await pods.start(count)
        cpu = used(node).cpu_seconds - before.cpu_seconds
        print(
            f"{count:3} pods  p50: Running {p50(running):.2f} s, Ready {p50(ready):.2f} s, floor {p50(least):.2f} s: "
            f"{p50(running) / p50(least):.2f} of it\n"
            f"          all: Running {max(running):.2f} s, floor {whole:.2f} s ({at_once} at a time): "
            f"{max(running) / whole:.2f} of it; agent {cpu:.2f} CPU s",
            flush=True,
        )
        await pods.remove()


async def idle(cluster: Cluster, pods: Pods) -> None:
    """100 pods, asked every 10 s: 60 over HTTP, 30 over TCP, 10 by a command."""
    node = cluster.nodes[1]
    sizes = []
    for count in (0, 50, 50):
        await pods.start(count, lambda number: "exec" if number % 10 == 0 else "tcp" if number % 10 < 4 else "http")
        await asyncio.sleep(75)  # by the minute freed memory is given back
        sizes.append(used(node).rss_bytes / (1 << 20))
    before, before_server = used(node), used(cluster.server)
    await asyncio.sleep(IDLE_SECONDS)
    after = used(node)
    percent = 100 * (after.cpu_seconds - before.cpu_seconds) / (after.at - before.at)
    server = 100 * (used(cluster.server).cpu_seconds - before_server.cpu_seconds) / (after.at - before.at)
    rss = f"RSS {sizes[0]:.1f} MiB without pods, {sizes[1]:.1f} with 50, {sizes[2]:.1f} with 100"
    print(f"agent     {rss}: {(sizes[2] - sizes[0]) / 100:.2f} a pod")
    print(f"          {percent:.2f} % of a core with 100 idle pods and their probes; the server {server:.2f} %")
    await pods.remove()


async def restart(_: Cluster, pods: Pods) -> None:
    """From SIGKILL of a container's process to the start of the next, as containerd tells it."""
    seconds = []

    async def running() -> list[Container]:
        return [c for c in await pods.runtime.list_containers() if c.state is ContainerState.RUNNING]

    for _attempt in range(ONES):
        await pods.start(1)
        (old,) = await running()
        killed_at = time.time()
        os.kill(_process(old.id), signal.SIGKILL)
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not (new := [c.id for c in await running() if c.id != old.id]):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        seconds.append((await pods.runtime.container_status(new[0])).started_at / 1e9 - killed_at)
        await pods.remove()
    print(f"crash     to the next start p50 {statistics.median(seconds):.3f} s, worst of {ONES} {max(seconds):.3f} s")


def _process(container: str) -> int:
    """The process of a container, found by its cgroup."""
    for entry in Path("/proc").glob("[0-9]*/cgroup"):
        with suppress(OSError):
            if container in entry.read_text():
                return int(entry.parent.name)
    raise ProcessLookupError(container)


async def measure(cluster: Cluster, parts: list[str]) -> None:
    everything: dict[str, Callable[[Cluster, Pods], Awaitable[None]]] = {
        "start": start,
        "idle": idle,
        "restart": restart,
    }
    with cluster.client.entered():
        async with watching(cluster) as pods:
            for part in parts or everything:
                await everything[part](cluster, pods)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder, Cluster(Path(folder), nodes=2) as cluster:
        asyncio.run(measure(cluster, sys.argv[1:]))
