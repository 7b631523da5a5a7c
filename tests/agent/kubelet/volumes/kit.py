"""A node's volumes beside a small API: objects put here are read and watched by `Volumes`; and a CSI driver."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import grpc
import grpc.aio

from pylet.agent.kubelet.plugins import InfoRequest, PluginInfo, RegistrationStatus
from pylet.agent.kubelet.volumes import csi_driver as csi
from pylet.agent.kubelet.volumes import mounts
from pylet.agent.kubelet.volumes.mounter import Volumes
from pylet.aio.clock import SystemClock
from pylet.api.errors import NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from pylet.api.patch import merge
from pylet.client.view import Entry, Table
from pylet.cri import wire


class Api:
    """What volumes ask of the API: both a Client and Tables."""

    def __init__(self) -> None:
        self.tables: dict[Kind, Table] = {}
        self.tokens: list[Object] = []
        self._revision = 0

    def put(self, kind: Kind, obj: Object) -> Object:
        self._revision += 1
        meta = {"uid": f"uid-{obj['metadata']['name']}", **obj["metadata"], "resourceVersion": str(self._revision)}
        stored = {"apiVersion": kind.api_version, "kind": kind.name, **obj, "metadata": meta}
        self._table(kind).put(Entry.of(kind, stored))
        return stored

    def remove(self, kind: Kind, key: Key) -> None:
        self._table(kind).remove(key)

    async def object_table(self, kind: Kind, key: Key) -> Table:
        return self._table(kind)

    async def table(self, kind: Kind, *, labels: str) -> Table:
        return self._table(kind)

    def release(self, kind: Kind, key: Key) -> None:
        pass

    async def get(self, kind: Kind, key: Key) -> Object:
        entry = self._table(kind).entries.get(key)
        if entry is None:
            raise NotFound(kind.group, kind.plural, key.name)
        return entry.object

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        if subresource == "token":
            self.tokens.append(obj)
            status = {"token": f"token-{len(self.tokens)}", "expirationTimestamp": "2099-01-01T00:00:00Z"}
            return {**obj, "status": status}
        return self.put(kind, obj)

    async def update(self, kind: Kind, obj: Object) -> Object:
        return self.put(kind, obj)

    async def patch(self, kind: Kind, key: Key, patch: Object, **_: Any) -> Object:
        return self.put(kind, merge.apply(await self.get(kind, key), patch))

    async def delete(self, kind: Kind, key: Key) -> Object:
        found = await self.get(kind, key)
        self.remove(kind, key)
        return found

    def _table(self, kind: Kind) -> Table:
        return self.tables.setdefault(kind, Table(kind))


class Node:
    """`volumes` of the node `n1` below `root`; `woken` are the pods that were told to try again."""

    def __init__(self, root: Path) -> None:
        self.api, self.root, self.woken = Api(), root, list[str]()
        self.api.put(NODE, {"metadata": {"name": "n1"}, "status": {"allocatable": {"memory": "1Gi", "cpu": "2"}}})
        self.volumes = self.restarted()

    def restarted(self) -> Volumes:
        """The volumes as a new process of pylet finds them."""
        volumes = Volumes(self.root, self.api, self.api, SystemClock())  # type: ignore[arg-type]
        volumes.wake = self.woken.append
        self.volumes = volumes
        return volumes

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.volumes.run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def mounts(self) -> list[Path]:
        return mounts.mounts_below(self.root)


def pod(*volumes: Object, uid: str = "u1", name: str = "web", devices: tuple[str, ...] = (), **spec: Any) -> Object:
    """A pod whose one container mounts each of `volumes` at `/<name>`."""
    uses = [{"name": volume["name"], "mountPath": f"/{volume['name']}"} for volume in volumes]
    container = {
        "name": "main",
        "volumeMounts": [use for use in uses if use["name"] not in devices],
        "volumeDevices": [{"name": device, "devicePath": f"/dev/{device}"} for device in devices],
    }
    return {
        "metadata": {"name": name, "namespace": "default", "uid": uid},
        "spec": {"nodeName": "n1", "containers": [container], "volumes": list(volumes), **spec},
    }


class CsiDriver:
    """A CSI driver that binds directories of its own: what it was asked is in `calls`, what it has mounted is real."""

    name = "csi.example.com"

    def __init__(self, directory: Path, *can: csi.Can) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.status: list[RegistrationStatus] = []
        self.refuses: dict[str, grpc.StatusCode] = {}
        self.takes = 8
        self._can = can
        self._data = directory / "data"
        self._data.mkdir()
        self.socket = directory / "csi.sock"
        self._servers: list[grpc.aio.Server] = []

    def asked(self, method: str) -> list[Any]:
        return [request for called, request in self.calls if called == method]

    async def serve(self, registry: Path) -> None:
        """Serve CSI, then tell the node with a socket in its registry."""
        await self._serve(self.socket, "csi.v1.Node", self._node())
        registry.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240
        registration = {
            "GetInfo": (InfoRequest, lambda _: PluginInfo("CSIPlugin", self.name, str(self.socket), ("1.0.0",))),
            "NotifyRegistrationStatus": (RegistrationStatus, self._told),
        }
        await self._serve(registry / f"{self.name}-reg.sock", "pluginregistration.Registration", registration)

    async def stop(self) -> None:
        for server in self._servers:
            await server.stop(None)

    def _told(self, status: RegistrationStatus) -> InfoRequest:
        self.status.append(status)
        return InfoRequest()

    def _node(self) -> dict[str, tuple[type[Any], Callable[[Any], Any]]]:
        def stage(request: csi.Stage) -> Any:
            return csi._Empty()

        def publish(request: csi.Publish) -> Any:
            target = Path(request.target_path)
            if not mounts.is_mounted(target):
                target.mkdir(exist_ok=True)
                mounts.bind(self._data, target)
            return csi._Empty()

        def unpublish(request: csi.Unpublish) -> Any:
            target = Path(request.target_path)
            if mounts.is_mounted(target):
                mounts.unmount(target)
            return csi._Empty()

        counted = csi._Stats((csi.Usage(60, 100, 40, 1), csi.Usage(6, 10, 4, 2)))
        can = tuple(csi._Capability(csi._Rpc(each)) for each in self._can)
        topology = csi._Topology({"example.com/zone": "a"})
        return {
            "NodeGetInfo": (csi._Empty, lambda _: csi.NodeInfo("node-1", self.takes, topology)),
            "NodeGetCapabilities": (csi._Empty, lambda _: csi._Capabilities(can)),
            "NodeStageVolume": (csi.Stage, stage),
            "NodeUnstageVolume": (csi.Unstage, lambda _: csi._Empty()),
            "NodePublishVolume": (csi.Publish, publish),
            "NodeUnpublishVolume": (csi.Unpublish, unpublish),
            "NodeGetVolumeStats": (
                csi._StatsOf,
                lambda _: counted,
            ),
            "NodeExpandVolume": (csi.Expand, lambda request: csi.Expanded(request.capacity_range.required_bytes)),
        }

    async def _serve(self, socket: Path, service: str, methods: dict[str, tuple[type[Any], Any]]) -> None:
        server = grpc.aio.server()
        handlers = {name: self._handler(name, kind, answer) for name, (kind, answer) in methods.items()}
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
        server.add_insecure_port(f"unix:{socket}")
        await server.start()
        self._servers.append(server)

    def _handler(self, name: str, kind: type[Any], answer: Callable[[Any], Any]) -> Any:
        async def handle(request: Any, context: Any) -> Any:
            self.calls.append((name, request))
            if name in self.refuses:
                await context.abort(self.refuses[name], "the driver says no")
            return answer(request)

        return grpc.unary_unary_rpc_method_handler(
            handle, request_deserializer=lambda data: wire.decode(kind, data), response_serializer=wire.encode
        )


def csi_node_of(api: Api) -> Object:
    return api.tables[CSI_NODE].entries[Key("", "n1")].object
