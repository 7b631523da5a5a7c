"""What a Deployment costs a server, from its creation until its pods are Ready on hollow nodes, and its deletion.

    python bench/workloads.py [--nodes 50] [--replicas 1000] [--apart] [--grow 2000]

The server is `pylet server --disable-agent` on SQLite, the nodes are one `pylet agent --hollow`, in processes of their
own. With `--apart` the nodes stand still until all pods are bound: what controllers and scheduler need by themselves.
With `--grow` it is scaled to those numbers before it is deleted: the memory that each further pod takes.
"""

from __future__ import annotations

import argparse
import asyncio
import base64
import os
import re
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

PORT = 17640
DEPLOYMENTS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
EVENTS = "/api/v1/namespaces/default/events"
PATIENCE_SECONDS = 900
KIB = 1024


@dataclass(frozen=True)
class Usage:
    """Of one process, now."""

    at: float
    cpu_seconds: float
    rss_bytes: int

    @staticmethod
    def of(process: subprocess.Popen[bytes]) -> Usage:
        times = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
        ticks = int(times[11]) + int(times[12])
        return Usage(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"), pages * os.sysconf("SC_PAGE_SIZE"))

    def since(self, before: Usage, pods: int) -> str:
        seconds = self.at - before.at
        return f"{seconds:6.2f} s  {pods / seconds:6.0f} pods/s  {self.cpu_seconds - before.cpu_seconds:6.2f} CPU s"


@dataclass(frozen=True)
class Held:
    """By the server: how many pods, in how much memory, and what clients would read of them and of their events."""

    pods: int
    rss_bytes: int
    pod_bytes: int = 0
    event_bytes: int = 0

    @staticmethod
    async def now(server: subprocess.Popen[bytes], http: aiohttp.ClientSession) -> Held:
        rss, sizes = Usage.of(server).rss_bytes, []
        pods = (await ask(http, "GET", PODS))["items"]
        for items in (pods, (await ask(http, "GET", EVENTS))["items"]):
            sizes.append(sum(len(orjson.dumps(item)) for item in items))
        return Held(len(pods), rss, *sizes)

    def since(self, before: Held) -> str:
        def each(of: str) -> float:
            growth: int = getattr(self, of) - getattr(before, of)
            return growth / KIB / (self.pods - before.pods)

        words = f"{each('rss_bytes'):.1f} KiB a pod: {each('pod_bytes'):.1f} its bytes, {each('event_bytes'):.1f} its"
        return f"{words} events'; {self.rss_bytes >> 20} MiB with {self.pods}"


@dataclass
class Pods:
    """What a watch has told of the pods, and who waits for it."""

    bound: set[str] = field(default_factory=set)
    ready: set[str] = field(default_factory=set)
    there: set[str] = field(default_factory=set)
    staying: set[str] = field(default_factory=set)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def follow(self, lines: AsyncIterator[bytes]) -> None:
        async for line in lines:
            event = orjson.loads(line)
            pod = event["object"]
            name = pod["metadata"]["name"]
            if event["type"] == "DELETED":
                self.there.discard(name)
                self.staying.discard(name)
            else:
                self.there.add(name)
                (self.staying.discard if "deletionTimestamp" in pod["metadata"] else self.staying.add)(name)
                if pod["spec"].get("nodeName"):
                    self.bound.add(name)
                if any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions", ())):
                    self.ready.add(name)
            self.changed.set()

    async def until(self, which: set[str], count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(which) != count:
                self.changed.clear()
                await self.changed.wait()


def deployment(replicas: int) -> dict[str, Any]:
    requests = {"cpu": "50m", "memory": "64Mi"}
    container = {"name": "c", "image": "example.test/pause:1", "resources": {"requests": requests}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}},
        },
    }


@contextmanager
def pylet(*words: str, log: Path) -> Any:
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-m", "pylet", *words], stdout=out, stderr=out)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait()


def trust(kubeconfig: Path) -> ssl.SSLContext:
    """The admin's credentials, of a kubeconfig with everything inline."""
    found = dict(
        re.findall(r"(certificate-authority|client-certificate|client-key)-data: (\S+)", kubeconfig.read_text())
    )
    parts = {name: base64.b64decode(data) for name, data in found.items()}
    pair = kubeconfig.with_suffix(".pem")
    pair.write_bytes(parts["client-certificate"] + parts["client-key"])
    context = ssl.create_default_context(cadata=parts["certificate-authority"].decode())
    context.load_cert_chain(pair)
    return context


async def started(server: subprocess.Popen[bytes], kubeconfig: Path) -> aiohttp.ClientSession:
    """A session with the server as soon as it answers."""
    while True:
        if server.poll() is not None:
            raise SystemExit(kubeconfig.with_name("server.log").read_text())
        if kubeconfig.exists():  # noqa: ASYNC240
            with suppress(OSError), socket.create_connection(("127.0.0.1", PORT)):
                break
        await asyncio.sleep(0.1)
    connector = aiohttp.TCPConnector(ssl=trust(kubeconfig))
    timeout = aiohttp.ClientTimeout(total=None)
    return aiohttp.ClientSession(f"https://127.0.0.1:{PORT}", connector=connector, timeout=timeout)


async def ask(http: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    headers = {"Content-Type": "application/merge-patch+json" if method == "PATCH" else "application/json"}
    async with http.request(method, path, data=body and orjson.dumps(body), headers=headers) as answer:
        answer.raise_for_status()
        return orjson.loads(await answer.read())


async def nodes_ready(http: aiohttp.ClientSession, count: int) -> None:
    """Ready, and no controller keeps pods off them any more."""
    while True:
        nodes = (await ask(http, "GET", "/api/v1/nodes"))["items"]
        conditions = [c for node in nodes for c in node["status"].get("conditions", ()) if c["type"] == "Ready"]
        usable = [c for c in conditions if c["status"] == "True"]
        if len(usable) == count and not any(node["spec"].get("taints") for node in nodes):
            return
        await asyncio.sleep(0.5)


async def measure(arguments: argparse.Namespace, server: Any, agent: Any, http: Any) -> None:
    count, pods = arguments.replicas, Pods()
    since = (await ask(http, "GET", PODS))["metadata"]["resourceVersion"]
    query = {"watch": "1", "resourceVersion": since}
    async with http.get(PODS, params=query, read_bufsize=1 << 22) as watch, asyncio.TaskGroup() as group:
        follower = group.create_task(pods.follow(watch.content))
        if arguments.apart:
            agent.send_signal(signal.SIGSTOP)
        before, agent_before = Usage.of(server), Usage.of(agent)
        await ask(http, "POST", DEPLOYMENTS, deployment(count))
        await pods.until(pods.bound, count)
        print(f"all bound    {Usage.of(server).since(before, count)}")
        bound = Usage.of(server)
        agent.send_signal(signal.SIGCONT)
        await pods.until(pods.ready, count)
        print(f"all Ready    {Usage.of(server).since(bound if arguments.apart else before, count)}")
        await asyncio.sleep(5)
        busy = Usage.of(agent).cpu_seconds - agent_before.cpu_seconds
        print(f"5 s later    {Usage.of(server).since(before, count)}; the nodes' process {busy:.2f} CPU s")
        held = Held(0, before.rss_bytes)
        for wanted in (count, *arguments.grow):
            await ask(http, "PATCH", f"{DEPLOYMENTS}/web/scale", {"spec": {"replicas": wanted}})
            await pods.until(pods.ready, wanted)
            await asyncio.sleep(arguments.rest)
            held, earlier = await Held.now(server, http), held
            print(f"memory       {held.since(earlier)}")
        before, agent_before, count = Usage.of(server), Usage.of(agent), held.pods
        await ask(http, "DELETE", f"{DEPLOYMENTS}/web", {"propagationPolicy": "Background"})
        await pods.until(pods.staying, 0)
        print(f"all told     {Usage.of(server).since(before, count)}")
        await pods.until(pods.there, 0)
        busy = Usage.of(agent).cpu_seconds - agent_before.cpu_seconds
        print(f"all deleted  {Usage.of(server).since(before, count)}; the nodes' process {busy:.2f} CPU s")
        follower.cancel()


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--nodes", type=int, default=50)
    parser.add_argument("--replicas", type=int, default=1000)
    parser.add_argument("--rest", type=int, default=20, help="seconds before memory is measured")
    parser.add_argument("--apart", action="store_true")
    parser.add_argument("--grow", type=int, nargs="*", default=[], help="to how many replicas, one after another")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        kubeconfig, url = home / "admin.yaml", f"https://127.0.0.1:{PORT}"
        own = ("--data-dir", str(home / "s"), "--bind-address", "127.0.0.1", "--https-listen-port", str(PORT))
        flags = (*own, "--disable-agent", "--write-kubeconfig", str(kubeconfig))
        with pylet("server", *flags, log=home / "server.log") as server:
            async with await started(server, kubeconfig) as http:
                token = (home / "s/server/token").read_text().strip()
                joining = ("--server", url, "--token", token, "--data-dir", str(home / "a"), "--node-name", "hollow")
                begin = time.monotonic()
                with pylet("agent", "--hollow", str(arguments.nodes), *joining, log=home / "agent.log") as agent:
                    await nodes_ready(http, arguments.nodes)
                    now = Usage.of(agent)
                    words = f"{now.at - begin:.1f} s, {now.cpu_seconds:.2f} CPU s, {now.rss_bytes >> 20} MiB"
                    print(
                        f"{arguments.nodes} nodes joined and Ready: {words}; server {Usage.of(server).cpu_seconds:.2f}"
                    )
                    await asyncio.sleep(3)
                    await measure(arguments, server, agent, http)


if __name__ == "__main__":
    asyncio.run(main())
