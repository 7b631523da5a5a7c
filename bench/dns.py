"""The cluster's resolver in a network namespace of its own (root): answers per second of CPU, and how late they are.

    python bench/dns.py [QUESTIONS]

5,000 services. One client keeps 32 questions on their way for the rate; for the latency it asks 1,000 times a second.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from pylet.agent.network import dnswire as wire
from pylet.agent.network.dns import Dns
from pylet.agent.resolv_conf import HostResolver
from pylet.aio.clock import SystemClock
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.client.view import Entry, Table

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.netns import Lab, Member

ADDRESS, WORLD = "10.43.0.10", "10.77.0.12"
WINDOW, SERVICES = 32, 5000


def resolver() -> None:
    services = Table(SERVICE)
    kube_dns = {"name": "kube-dns", "namespace": "kube-system"}
    services.put(Entry.of(SERVICE, {"metadata": kube_dns, "spec": {"clusterIP": ADDRESS}}))
    for number in range(SERVICES):
        spec = {"clusterIP": "", "clusterIPs": [f"10.43.{1 + number // 250}.{number % 250}"]}
        meta = {"name": f"s{number}", "namespace": "default"}
        services.put(Entry.of(SERVICE, {"metadata": meta, "spec": spec}))
    with tempfile.NamedTemporaryFile("w") as file:
        file.write(f"nameserver {WORLD}\n")
        file.flush()
        clock = SystemClock()
        host = HostResolver(Path(file.name), clock)
        dns = Dns(services, Table(ENDPOINT_SLICE), clock, address=ADDRESS, domain="cluster.local", host=host)
        asyncio.run(dns.run())


def world() -> None:
    """Knows all names."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.bind((WORLD, 53))
        while True:
            packet, client = udp.recvfrom(4096)
            query = wire.parse(packet)
            udp.sendto(wire.answer(query, [wire.address(query.name, "192.0.2.1", 300)]), client)


def fork(member: Member, work: Callable[[], None]) -> int:
    if pid := os.fork():
        return pid
    with member.entered():
        work()
    os._exit(0)


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def rss_mib(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def ask(pid: int, name: Callable[[int], str], count: int) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
        udp.connect((ADDRESS, 53))
        udp.settimeout(1)
        before, start, sent, lost = cpu_seconds(pid), time.monotonic(), 0, 0
        for sent in range(count + WINDOW):
            if sent < count:
                udp.send(sent.to_bytes(4, "big")[2:] + wire.question(name(sent), wire.A)[2:])
            if sent >= WINDOW:
                try:
                    udp.recv(4096)
                except TimeoutError:
                    lost += 1
        cpu, wall = cpu_seconds(pid) - before, time.monotonic() - start
        print(f"{count / cpu:10,.0f}/s of CPU {count / wall:10,.0f}/s", end="")
        late = sorted(_latency(udp, name(number % 1000)) for number in range(1000))
        print(f"   p50 {late[500]:.2f} ms, p99 {late[990]:.2f} ms   lost {lost}   RSS {rss_mib(pid):.0f} MiB")


def _latency(udp: socket.socket, name: str) -> float:
    time.sleep(0.001)
    start = time.monotonic()
    udp.send(wire.question(name, wire.A))
    udp.recv(4096)
    return (time.monotonic() - start) * 1000


def main() -> None:
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    with Lab(nodes=2) as lab:
        node, other = lab.nodes
        pids = [fork(other, world), fork(node, resolver)]
        try:
            with node.entered():
                time.sleep(3)
                for what, name in (
                    ("services", lambda number: f"s{number % 1000}.default.svc.cluster.local"),
                    ("names nobody has", lambda number: f"n{number}.default.svc.cluster.local"),
                    ("names from elsewhere", lambda number: f"h{number % 1000}.example.test"),
                ):
                    print(f"{what:22}", end="")
                    ask(pids[1], name, count)
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)


if __name__ == "__main__":
    main()
