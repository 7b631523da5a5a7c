"""Hollow nodes against a real server over HTTPS: nodes to everybody, with the identity of nodes and no more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from pylet.agent import hollow
from pylet.agent.config import AgentConfig
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, dig
from pylet.client.interface import Client
from pylet.server.registry import LOOPBACK
from tests.server.conftest import Running, config, running_server

PATIENCE_SECONDS = 60
NODES = ("hollow-0", "hollow-1")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running_server(config(tmp_path / "server")) as running:
        yield running


@pytest.fixture
async def nodes(server: Running, tmp_path: Path) -> AsyncIterator[Client]:
    """A client of a server with two hollow nodes that are Ready."""
    agent = AgentConfig(
        server=(server.url,),
        token=(tmp_path / "server" / "server" / "token").read_text().strip(),
        node_name="hollow",
        node_ip=("192.0.2.7",),
        hollow=len(NODES),
        data_dir=tmp_path / "agent",
    )
    task = asyncio.create_task(hollow.serve(agent))
    try:
        admin = server.loopback(LOOPBACK)
        for name in NODES:
            await until(admin, NODE, Key("", name), lambda node: is_true(node, "Ready"))
        yield admin
    finally:
        task.cancel()
        await asyncio.wait((task,))


def is_true(obj: Object | None, type_: str) -> bool:
    found = condition_of(obj or {}, type_)
    return found is not None and found["status"] == "True"


async def until(client: Client, kind: Any, key: Key, wanted: Callable[[Object | None], bool]) -> Object | None:
    """The object as soon as it is as wanted, None when it is gone."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        listed = await client.list(kind, key.namespace, fields=f"metadata.name={key.name}")
        found = next(iter(listed.items), None)
        if wanted(found):
            return found
        selected = f"metadata.name={key.name}"
        async for changes in client.watch(kind, key.namespace, since=listed.revision, fields=selected):
            for change in changes:
                found = None if change.type == "DELETED" else change.object
                if change.type != "BOOKMARK" and wanted(found):
                    return found
    raise AssertionError(f"{key} did not come")


def pod(node: str) -> Object:
    container = {"name": "c", "image": "example.test/pause:1"}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {"nodeName": node, "containers": [container], "terminationGracePeriodSeconds": 1},
    }


async def test_hollow_nodes_are_nodes_with_leases_of_their_own_that_serve_nothing(nodes: Client) -> None:
    for name in NODES:
        node = await nodes.get(NODE, Key("", name))
        lease = await nodes.get(LEASE, Key("kube-node-lease", name))
        assert lease["spec"]["holderIdentity"] == name
        assert not dig(node, "status", "daemonEndpoints", "kubeletEndpoint", "Port")
        assert dig(node, "status", "nodeInfo", "containerRuntimeVersion") == "memory://1.0"


async def test_a_pod_lives_and_dies_on_a_hollow_node(nodes: Client, tmp_path: Path) -> None:
    key = Key("default", "p")
    created = await nodes.create(POD, pod("hollow-1"))
    ready = await until(nodes, POD, key, lambda p: is_true(p, "Ready"))
    assert ready is not None
    assert ready["status"]["podIP"].startswith("10.128.1.")
    await nodes.delete(POD, key)
    await until(nodes, POD, key, lambda p: p is None)
    home = tmp_path / "agent" / "hollow" / "1" / "kubelet" / "pods"
    assert not (home / created["metadata"]["uid"]).exists()
