"""CSI drivers come and go: who they are is written to this node's CSINode, its annotations and its topology labels.

Source: upstream `pkg/volume/csi/csi_plugin.go` (RegistrationHandler), `pkg/volume/csi/nodeinfomanager`.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass

from pylet.agent.kubelet.plugins import Refused
from pylet.agent.kubelet.volumes.csi import unstage_unused
from pylet.agent.kubelet.volumes.csi_driver import Driver, NodeInfo
from pylet.agent.kubelet.volumes.interface import Host, VolumeError
from pylet.api.errors import AlreadyExists, ApiError, Conflict, NotFound
from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, annotations_of, labels_of, owners_of, uid_of
from pylet.client.interface import Client
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)

PLUGIN_TYPE = "CSIPlugin"
_ANNOTATION = "csi.volume.kubernetes.io/nodeid"
_MOST_VOLUMES = 2**31 - 1
_TRIES = 5


@dataclass(slots=True)
class CsiRegistration:
    """A `plugins.Handler`: fills `host.drivers`."""

    host: Host
    client: Client
    node_name: str

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
        try:
            await unstage_unused(self.host, driver)
        except VolumeError as failed:
            log.warning("CSI driver %s: %s", name, failed)

    async def deregister(self, name: str, endpoint: str) -> None:
        driver = self.host.drivers.pop(name, None)
        if driver is None:
            return
        await driver.close()
        key = Key("", self.node_name)
        try:
            await self._change_csi_node(lambda drivers: [each for each in drivers if each["name"] != name])
            node = await self.client.get(NODE, key)
            ids = {driver: id_ for driver, id_ in node_ids(node).items() if driver != name}
            text = json.dumps(ids, separators=(",", ":")) if ids else None
            await self.client.patch(NODE, key, {"metadata": {"annotations": {_ANNOTATION: text}}})
        except ApiError:
            return  # the next registration writes what is true

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
