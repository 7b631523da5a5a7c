"""A real server on loopback, in this process and on the memory store, for tests that speak HTTP to it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from pylet.server.config import ServerConfig
from pylet.server.pki import Pki
from pylet.server.run import Running, serve


@dataclass(frozen=True)
class Answered:
    status: int
    body: bytes
    headers: Any

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Cluster:
    """The server and a session per identity."""

    running: Running
    admin: aiohttp.ClientSession
    anyone: aiohttp.ClientSession

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        anonymous: bool = False,
        **headers: str,
    ) -> Answered:
        """`body` is JSON, or bytes as they are; header names have underscores."""
        session = self.anyone if anonymous or token else self.admin
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if token:
            sent["Authorization"] = f"Bearer {token}"
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        if data is not None:
            sent.setdefault("Content-Type", "application/json")
        async with session.request(method, self.running.url + path, data=data, headers=sent) as answer:
            return Answered(answer.status, await answer.read(), answer.headers)


def config(directory: Path, **changes: Any) -> ServerConfig:
    settled: dict[str, Any] = {
        "data_dir": directory,
        "bind_address": "127.0.0.1",
        "https_listen_port": 0,
        "write_kubeconfig": directory / "admin.yaml",
        "disable": ("gateway",),  # definitions that are served a moment later than the rest
        "disable_agent": True,
        "datastore_endpoint": "memory",
    }
    return ServerConfig(**(settled | changes))


@asynccontextmanager
async def running_server(settled: ServerConfig) -> AsyncIterator[Running]:
    """The server as a task; a failure to start is raised here."""
    ready: asyncio.Future[Running] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(serve(settled, ready.set_result))
    done, _ = await asyncio.wait((ready, task), return_when=asyncio.FIRST_COMPLETED)
    if task in done:
        await task
    try:
        yield ready.result()
    finally:
        task.cancel()
        await asyncio.wait((task,))


def session(pki: Pki, *, certificate: bool) -> aiohttp.ClientSession:
    context = ssl.create_default_context(cafile=str(pki.ca.certificate))
    if certificate:
        context.load_cert_chain(pki.admin.certificate, pki.admin.key)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context))


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncIterator[Cluster]:
    async with (
        running_server(config(tmp_path)) as running,
        session(running.pki, certificate=True) as admin,
        session(running.pki, certificate=False) as anyone,
    ):
        yield Cluster(running, admin, anyone)


@pytest.fixture
def make_config(tmp_path: Path) -> Callable[..., ServerConfig]:
    return lambda **changes: config(tmp_path, **changes)
