"""Who may ask a kubelet for what, and what it says of itself."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer

from pylet.agent.config import AgentConfig
from pylet.agent.kubelet.access import Denied
from pylet.agent.kubelet.http import Facts, KubeletServer
from pylet.agent.kubelet.settings import Settings
from pylet.aio.clock import SystemClock
from pylet.cri.memory import MemoryRuntime

FLAGZ = "application/json;g=config.k8s.io;v=v1beta1;as=Flagz"


class Doorkeeper:
    """Lets in whoever may do what `allowed` names; what was asked for is in `asked`."""

    def __init__(self) -> None:
        self.allowed: set[str] = set()
        self.asked: tuple[str, ...] = ()

    async def check(self, request: web.BaseRequest, *subresources: str) -> None:
        self.asked = subresources
        if self.allowed.isdisjoint(subresources):
            raise Denied(403, "Forbidden")


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[Any]:
    node: Any = SimpleNamespace(
        clock=SystemClock(),
        runtime=MemoryRuntime(),
        pods=list,
        settings=Settings(node_name="n", host_ips=(), root=tmp_path),
    )
    door: Any = Doorkeeper()
    nothing: Any = None
    flags = AgentConfig(server=("https://192.0.2.1:6443",), node_name="n", token="secret").flags
    facts = Facts(dict, dict, dict, flags)
    server = KubeletServer(node, nothing, door, nothing, facts)
    async with RawTestServer(server._answer) as served, aiohttp.ClientSession(str(served.make_url("/"))) as http:
        yield SimpleNamespace(door=door, http=http)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/statusz", {"statusz"}),
        ("/flagz", {"configz"}),
        ("/configz", {"configz", "proxy"}),
        ("/pods", {"pods", "proxy"}),
        ("/healthz/ping", {"healthz", "proxy"}),
        ("/metrics/cadvisor", {"metrics"}),
        ("/exec/default/web/main", {"proxy"}),
        ("/nothing", {"proxy"}),
    ],
)
async def test_who_asks_must_be_allowed(kubelet: Any, path: str, expected: set[str]) -> None:
    assert (await kubelet.http.get(path)).status == 403
    assert set(kubelet.door.asked) == expected


async def test_it_says_since_when_it_runs(kubelet: Any) -> None:
    kubelet.door.allowed = {"statusz"}
    text = await (await kubelet.http.get("/statusz")).text()
    assert text.startswith("\nkubelet statusz\n")
    assert text.endswith("\nPaths: /configz /debug /flagz /healthz /metrics\n")
    refused = await kubelet.http.get("/statusz", headers={"Accept": "application/json"})
    assert (refused.status, (await refused.json())["reason"]) == (406, "NotAcceptable")


async def test_it_says_what_it_was_started_with(kubelet: Any) -> None:
    kubelet.door.allowed = {"configz"}
    told = await kubelet.http.get("/flagz", headers={"Accept": FLAGZ})
    assert told.headers["Content-Type"] == FLAGZ
    flags = (await told.json())["flags"]
    assert (flags["server"], flags["kubelet-port"]) == ("[https://192.0.2.1:6443]", "10250")
    assert "secret" not in flags.values()
