"""Many watchers of one resource: what is lost, how late events come, what it costs the server.

    python bench/watchers.py [WATCHERS] [EVENTS A SECOND] [SECONDS]

Starts a server of its own on loopback, in a process of its own; watchers share this process.
"""

from __future__ import annotations

import asyncio
import re
import ssl
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

_SENT = re.compile(rb'"data":{"sent":"([0-9.]+)"')
MAPS = "/api/v1/namespaces/default/configmaps"


def cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def rss_mib(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


class Watcher(asyncio.Protocol):
    """Does as little as possible with what comes: it shares its cores with the server."""

    def __init__(self, late: list[float], ready: asyncio.Semaphore) -> None:
        self._late = late
        self._ready = ready
        self._begun = b""

    def connection_made(self, transport: Any) -> None:
        transport.write(b"GET %b?watch=1&resourceVersion=0 HTTP/1.1\r\nHost: server\r\n\r\n" % MAPS.encode())

    def data_received(self, data: bytes) -> None:
        now = time.monotonic()
        if not self._begun:
            self._ready.release()
        lines, _, self._begun = (self._begun + data).rpartition(b"\n")
        self._late += [now - float(sent) for sent in _SENT.findall(lines)]


async def main(watchers: int, rate: int, seconds: int) -> None:
    directory = Path(tempfile.mkdtemp(prefix="watchers-"))
    flags = ["--data-dir", directory, "--bind-address", "127.0.0.1", "--https-listen-port", "16443"]
    flags += ["--disable-agent", "--write-kubeconfig", directory / "kubeconfig"]
    server = await asyncio.create_subprocess_exec(sys.executable, "-m", "pylet", "server", *map(str, flags))
    tls = directory / "server" / "tls"
    while not (directory / "kubeconfig").exists():  # noqa: ASYNC110 the server is the one to wait for
        await asyncio.sleep(0.1)
    context = ssl.create_default_context(cafile=str(tls / "ca.crt"))
    context.load_cert_chain(tls / "client-admin.crt", tls / "client-admin.key")
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    url, timeout = "https://127.0.0.1:16443", aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout, read_bufsize=1 << 20) as http:
        late: list[float] = []
        ready = asyncio.Semaphore(0)
        events = rate * seconds
        loop = asyncio.get_running_loop()
        for _ in range(watchers):
            await loop.create_connection(lambda: Watcher(late, ready), "127.0.0.1", 16443, ssl=context)
        for _ in range(watchers):
            await ready.acquire()
        before, memory = cpu_seconds(server.pid), rss_mib(server.pid)
        started = time.monotonic()
        for number in range(events):
            await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
            body = {"metadata": {"name": f"e{number}"}, "data": {"sent": str(time.monotonic()), "text": "x" * 200}}
            async with http.post(MAPS, json=body) as made:
                assert made.status == 201, await made.text()
        for _ in range(300):
            if len(late) == watchers * events:
                break
            await asyncio.sleep(0.1)
        seen = len(late)
        late.sort()
        print(
            f"{watchers} watchers, {rate} events/s for {seconds} s: lost {watchers * events - seen}, "
            f"p50 {late[len(late) // 2] * 1000:.1f} ms, p99 {late[len(late) * 99 // 100] * 1000:.1f} ms, "
            f"server {cpu_seconds(server.pid) - before:.2f} CPU s, "
            f"{(cpu_seconds(server.pid) - before) / len(late) * 1000:.4f} s/1k deliveries, "
            f"RSS {memory:.0f} MiB before, {rss_mib(server.pid):.0f} after"
        )
    server.terminate()
    await server.wait()


if __name__ == "__main__":
    given = [int(text) for text in sys.argv[1:]]
    uvloop.run(main(*(given + [1000, 20, 10][len(given) :])))
