"""A server starts, says what keeps it from starting, and finds its state again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
import yaml

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key
from pylet.server.config import ServerConfig
from pylet.server.place import Unusable
from pylet.server.registry import LOOPBACK
from tests.server.conftest import running_server, session

Make = Callable[..., ServerConfig]


async def test_state_outlives_a_restart(make_config: Make) -> None:
    settled = make_config(datastore_endpoint=None)
    async with running_server(settled) as running:
        await running.loopback(LOOPBACK).create(CONFIG_MAP, {"metadata": {"name": "a", "namespace": "default"}})
        token = (settled.data_dir / "server" / "token").read_text()
    async with running_server(settled) as running:
        assert await running.loopback(LOOPBACK).get(CONFIG_MAP, Key("default", "a"))
        async with session(running.pki, certificate=True) as admin, admin.get(f"{running.url}/metrics") as answer:
            told = await answer.text()
        assert 'apiserver_storage_size_bytes{storage_cluster_id="sqlite"} ' in told
    assert (settled.data_dir / "server" / "token").read_text() == token


async def test_a_cluster_keeps_its_own_service_though_somebody_deletes_it_and_though_it_starts_with_other_networks(
    make_config: Make,
) -> None:
    key, options = Key("default", "kubernetes"), {"datastore_endpoint": None}
    async with running_server(make_config(**options)) as running:
        client = running.loopback(LOOPBACK)
        before = await client.list(SERVICE, key.namespace)
        await client.delete(SERVICE, key)
        async with asyncio.timeout(60), aclosing(client.watch(SERVICE, key.namespace, since=before.revision)) as seen:
            async for changes in seen:
                if any(change.type == "ADDED" for change in changes):
                    break
    async with running_server(make_config(**options, service_cidr="10.99.0.0/16", cluster_dns="10.99.0.10")) as running:
        assert (await running.loopback(LOOPBACK).get(SERVICE, key))["spec"]["clusterIP"] == "10.43.0.1"


async def test_the_kubeconfig_leads_to_the_server(make_config: Make) -> None:
    settled = make_config()
    async with running_server(settled) as running:
        written = yaml.safe_load(settled.write_kubeconfig.read_text())
        assert written["clusters"][0]["cluster"]["server"] == running.url
        assert settled.write_kubeconfig.stat().st_mode & 0o777 == 0o600


async def test_a_folder_has_one_server(make_config: Make) -> None:
    settled = make_config()
    async with running_server(settled):
        with pytest.raises((Unusable, BaseExceptionGroup), match="in use by another pylet"):
            async with running_server(settled):
                pass


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({"bind_address": "203.0.113.1"}, "check --bind-address", id="an address the machine lacks"),
        pytest.param({"data_dir": Path("/proc/none")}, "choose another --data-dir", id="a folder nobody can write"),
        pytest.param(
            {"datastore_endpoint": "sqlite:///proc/none/db"}, "/proc/none/db", id="a database nobody can open"
        ),
    ],
)
async def test_what_cannot_work_is_one_clear_line(make_config: Make, changes: dict[str, Any], says: str) -> None:
    with pytest.raises((Unusable, BaseExceptionGroup)) as caught:
        async with running_server(make_config(**changes)):
            pass
    error: BaseException = caught.value
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    assert isinstance(error, Unusable)
    assert says in str(error)


async def test_a_taken_port_is_said(make_config: Make, tmp_path: Path) -> None:
    async with running_server(make_config()) as running:
        with pytest.raises(BaseExceptionGroup) as caught:
            async with running_server(make_config(https_listen_port=running.port, data_dir=tmp_path / "other")):
                pass
    assert "choose another --https-listen-port" in str(caught.value.exceptions[0])


async def test_a_stop_ends_watches_and_leaves_nothing_listening(make_config: Make) -> None:
    async with running_server(make_config()) as running:
        client = session(running.pki, certificate=True)
        watch = await client.get(f"{running.url}/api/v1/namespaces?watch=1")
        assert await watch.content.readline()
    async with client, asyncio.timeout(60):
        await watch.read()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", running.port)
