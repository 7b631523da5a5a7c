"""CSI drivers come and go: who they are is written to this node's CSINode, its annotations and its topology labels.

How many volumes a driver takes may change while it runs: its CSIDriver says how often to ask (KEP-4876).
Source: upstream `pkg/volume/csi/{csi_plugin,csi_node_updater}.go`, `pkg/volume/csi/nodeinfomanager`.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pylet.agent.kubelet.plugins import Refused
from pylet.agent.kubelet.volumes.csi import unstage_unused
from pylet.agent.kubelet.volumes.csi_driver import Driver, NodeInfo
from pylet.agent.kubelet.volumes.interface import Host, VolumeError
from pylet.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from pylet.api.kinds.csidriver import KIND as CSI_DRIVER
from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, annotations_of, dig, labels_of, owners_of, uid_of
from pylet.client.interface import Client, Tables
from pylet.client.view import Table
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)

PLUGIN_TYPE = "CSIPlugin"
_ANNOTATION = "csi.volume.kubernetes.io/nodeid"
_MOST_VOLUMES = 2**31 - 1
_TRIES = 5


@dataclass(slots=True)
class _Facts:
    """The CSIDriver object of a registered driver, and when the driver was asked last."""

    table: Table
    silence: Callable[[], None]
    asked_at: datetime

    def due(self, name: str) -> datetime | None:
        entry = self.table.entries.get(Key("", name))
        seconds = None if entry is None else dig(entry.object, "spec", "nodeAllocatableUpdatePeriodSeconds")
        return None if not seconds else self.asked_at + timedelta(seconds=seconds)


@dataclass(slots=True)
class CsiRegistration:
    """A `plugins.Handler`: fills `host.drivers`. `run` must run for limits that change to be known."""

    host: Host
    client: Client
    tables: Tables
    node_name: str
    _facts: dict[str, _Facts] = field(default_factory=dict)
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def register(self, name: str, endpoint: str, versions: tuple[str, ...]) -> None:
        """Raises: Refused."""
        if not any(version.removeprefix("v").startswith("1.") for version in versions):
            listed = ",".join(versions)
            raise Refused(
                "RegisterPlugin error -- plugin validation failed with err: validation failed for CSI Driver "
                f"{name} at endpoint {endpoint}: none of the versions {listed or '(none)'} are supported"
            )
        driver = Driver(name, endpoint)
        try:
            info = await driver.info()
            if not info.node_id:
                raise Refused(_failed("error adding CSI driver node info: driverNodeID must not be empty"))
            await self._write(name, info)
        except (CallError, ApiError, Refused) as failed:
            await driver.close()
            text = failed.message if isinstance(failed, ApiError) else str(failed)
            raise (failed if isinstance(failed, Refused) else Refused(_failed(text))) from failed
        self.host.drivers[name] = driver
        await self._follow(name)
        try:
            await unstage_unused(self.host, driver)
        except VolumeError as failed:
            log.warning("CSI driver %s: %s", name, failed)

    async def deregister(self, name: str, endpoint: str) -> None:
        driver = self.host.drivers.pop(name, None)
        if driver is None:
            return
        await driver.close()
        if facts := self._facts.pop(name, None):
            facts.silence()
            self.tables.release(CSI_DRIVER, Key("", name))
        key = Key("", self.node_name)
        try:
            await self._change_csi_node(lambda drivers: [each for each in drivers if each["name"] != name])
            node = await self.client.get(NODE, key)
            ids = {driver: id_ for driver, id_ in node_ids(node).items() if driver != name}
            text = json.dumps(ids, separators=(",", ":")) if ids else None
            await self.client.patch(NODE, key, {"metadata": {"annotations": {_ANNOTATION: text}}})
        except ApiError:
            return  # the next registration writes what is true

    async def run(self) -> None:
        """Ask drivers again how many volumes they take, as often as they want it."""
        while True:
            self._changed.clear()
            now = self.host.clock.now()
            due = {name: at for name, facts in self._facts.items() if (at := facts.due(name)) is not None}
            for name in [name for name, at in due.items() if at <= now]:
                self._facts[name].asked_at = now
                await self._ask_again(name)
                due[name] = self._facts[name].due(name) or now
            wait = (min(due.values()) - now).total_seconds() if due else None
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), wait)

    async def _follow(self, name: str) -> None:
        if name not in self._facts:
            table = await self.tables.object_table(CSI_DRIVER, Key("", name))
            silence = table.listen(lambda before, after: self._changed.set())
            self._facts[name] = _Facts(table, silence, self.host.clock.now())
        self._changed.set()

    async def _ask_again(self, name: str) -> None:
        try:
            entry = csi_node_driver(name, await self.host.drivers[name].info())
            await self._change_csi_node(lambda drivers: [entry if each["name"] == name else each for each in drivers])
        except (CallError, ApiError) as failed:
            log.warning("ask CSI driver %s how many volumes it takes: %s", name, failed)

    async def announce(self) -> None:
        """A node has a CSINode also without drivers: those that wait for topology look for it. Raises: ApiError."""
        await self._change_csi_node(lambda drivers: drivers)

    async def _write(self, name: str, info: NodeInfo) -> None:
        key = Key("", self.node_name)
        node = await self.client.get(NODE, key)
        labels = dict(info.accessible_topology.segments)
        for label, value in labels.items():
            if (current := labels_of(node).get(label, value)) != value:
                words = f'driver reported "{label}":"{value}" but existing label is "{label}":"{current}"'
                raise Refused(_failed(f"detected topology value collision: {words}"))
        ids = {**node_ids(node), name: info.node_id}
        annotations = {_ANNOTATION: json.dumps(ids, separators=(",", ":"), sort_keys=True)}
        await self.client.patch(NODE, key, {"metadata": {"annotations": annotations, "labels": labels}})
        entry = csi_node_driver(name, info)
        await self._change_csi_node(lambda drivers: [*(each for each in drivers if each["name"] != name), entry])

    async def _change_csi_node(self, change: Callable[[list[Object]], list[Object]]) -> None:
        key = Key("", self.node_name)
        for _ in range(_TRIES):
            try:
                found = await self._csi_node(key)
                drivers = found["spec"].get("drivers") or []
                changed = change(drivers)
                if changed != drivers:
                    await self.client.update(CSI_NODE, {**found, "spec": {**found["spec"], "drivers": changed}})
                return
            except (AlreadyExists, Conflict):
                continue

    async def _csi_node(self, key: Key) -> Object:
        """This node's; one left by an earlier node of this name is replaced."""
        node = await self.client.get(NODE, key)
        owner = {"apiVersion": "v1", "kind": "Node", "name": key.name, "uid": uid_of(node)}
        try:
            found = await self.client.get(CSI_NODE, key)
            if any(each.get("uid") == owner["uid"] for each in owners_of(found)):
                return found
            await self.client.delete(CSI_NODE, key)
        except NotFound:
            pass
        meta = {"name": key.name, "ownerReferences": [owner]}
        fresh = {"apiVersion": CSI_NODE.api_version, "kind": CSI_NODE.name, "metadata": meta, "spec": {"drivers": []}}
        return await self.client.create(CSI_NODE, fresh)


def csi_node_driver(name: str, info: NodeInfo) -> Object:
    """The entry of a driver in its node's CSINode."""
    entry: Object = {"name": name, "nodeID": info.node_id}
    if keys := sorted(info.accessible_topology.segments):
        entry["topologyKeys"] = keys
    if info.max_volumes_per_node > 0:
        entry["allocatable"] = {"count": min(info.max_volumes_per_node, _MOST_VOLUMES)}
    return entry


def node_ids(node: Object) -> dict[str, str]:
    """What the drivers of a node call it."""
    ids: dict[str, str] = json.loads(annotations_of(node).get(_ANNOTATION) or "{}")
    return ids


def _failed(words: str) -> str:
    return f"RegisterPlugin error -- plugin registration failed with err: {words}"
