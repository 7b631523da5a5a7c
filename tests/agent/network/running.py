"""Nodes that run side by side in a lab, each with an event loop in a thread of its own, and what the API would say."""

from __future__ import annotations

import asyncio
import copy
import threading
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

from pylet.agent.network.loop import Network, NetworkSettings
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from pylet.client.interface import Client
from pylet.client.view import Entry, Table
from tests.netns import Member


def node(name: str, addresses: tuple[str, ...], *cidrs: str) -> Object:
    return {
        "metadata": {"name": name, "resourceVersion": "1"},
        "spec": {"podCIDR": cidrs[0], "podCIDRs": list(cidrs)},
        "status": {"addresses": [{"type": "InternalIP", "address": address} for address in addresses]},
    }


class Time:
    """The time of day moves when the test says so; what sleeps until then wakes."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead

    def monotonic(self) -> float:
        return self.now().timestamp()

    async def sleep(self, seconds: float) -> None:
        until = self.now() + timedelta(seconds=seconds)
        while self.now() < until:  # noqa: ASYNC110 - another thread moves it
            await asyncio.sleep(0.01)


class Api:
    """The Nodes, as every running node sees them; it can be cut off from one."""

    def __init__(self) -> None:
        self.nodes: dict[str, Object] = {}
        self.runs: list[Running] = []
        self._revision = 1
        self._lock = threading.Lock()

    def put(self, item: Object) -> None:
        with self._lock:
            self._revision += 1
            item = copy.deepcopy(item)
            item["metadata"]["resourceVersion"] = str(self._revision)
            self.nodes[item["metadata"]["name"]] = item
            for run in self.runs:
                run.tell(lambda table: table.put(Entry.of(NODE, item)))

    def remove(self, name: str) -> None:
        with self._lock:
            del self.nodes[name]
            for run in self.runs:
                run.tell(lambda table: table.remove(Key("", name), self._revision))

    def follow(self, run: Running, table: Table) -> None:
        with self._lock:
            for item in self.nodes.values():
                table.put(Entry.of(NODE, item))
            self.runs.append(run)

    async def patch(self, kind: Kind, key: Key, patch: Any, **_: Any) -> Object:
        assert kind == NODE
        item = copy.deepcopy(self.nodes[key.name])
        item["metadata"].setdefault("annotations", {}).update(patch["metadata"]["annotations"])
        self.put(item)
        return item


class Running:
    """`with Running(…)`: what `make` returns runs in the member's network until the block's end."""

    def __init__(self, api: Api, member: Member, make: Callable[[Table], Coroutine[Any, Any, None]]) -> None:
        self._member = member
        self._make = make
        self._api = api
        self._table = Table(NODE)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._started = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def tell(self, change: Callable[[Table], object]) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(change, self._table)

    def __enter__(self) -> Running:
        self._thread.start()
        assert self._started.wait(10)
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        if self not in self._api.runs:
            return
        self._api.runs.remove(self)
        assert self._loop is not None
        assert self._task is not None
        self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)

    def _run(self) -> None:
        async def main() -> None:
            self._loop = asyncio.get_running_loop()
            self._api.follow(self, self._table)
            self._task = asyncio.create_task(self._make(self._table))
            self._started.set()
            await asyncio.wait([self._task])
            if not self._task.cancelled() and (failed := self._task.exception()):
                raise failed

        with self._member.entered():
            asyncio.run(main())


def network(api: Api, member: Member, name: str, backend: str, directory: Path, time: Time) -> Running:
    """A pod network on this member, at the addresses that its Node has."""
    directory.mkdir(exist_ok=True)
    settings = NetworkSettings(
        node_name=name,
        node_ips=tuple(item["address"] for item in api.nodes[name]["status"]["addresses"]),
        backend=backend,
        cni_bin_dir=directory,
        cni_conf_dir=directory,
        ipam_dir=directory / "ipam",
        wireguard_dir=directory / "wireguard",
    )
    return Running(api, member, lambda table: Network(table, cast(Client, api), time, settings).run())
