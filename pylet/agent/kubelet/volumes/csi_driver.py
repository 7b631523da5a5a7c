"""One CSI driver as the node speaks to it: the Node service of CSI v1 over the driver's socket.

The messages carry the fields pylet uses, by their numbers in csi.proto; `wire` does the rest.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from enum import IntEnum
from typing import Any, TypeVar

from pylet.agent.kubelet import counters
from pylet.cri.socket import CallError, ServiceSocket
from pylet.cri.wire import at, message

T = TypeVar("T")

_SECONDS = 120.0  # upstream's csiTimeout


class AccessMode(IntEnum):
    UNKNOWN, SINGLE_WRITER, SINGLE_READER, MANY_READERS, ONE_OF_MANY_WRITES, MANY_WRITERS, ONE_POD, MANY_PODS = range(8)


class Can(IntEnum):
    """What a driver's node service can; numbers newer than this table stay numbers."""

    UNKNOWN, STAGE, STATS, EXPAND, CONDITION, MULTI_WRITER, MOUNT_GROUP = range(7)


@message
class _Empty:
    pass


@message
class Block:
    pass


@message
class Mount:
    fs_type: str = at(1, "")
    mount_flags: tuple[str, ...] = at(2, ())
    volume_mount_group: str = at(3, "")


@message
class _Mode:
    mode: AccessMode = at(1, AccessMode.UNKNOWN)


@message
class Capability:
    block: Block | None = at(1, None)
    mount: Mount | None = at(2, None)
    access_mode: _Mode = at(3, _Mode())

    @classmethod
    def of(cls, how: Block | Mount, mode: AccessMode) -> Capability:
        return cls(how, None, _Mode(mode)) if isinstance(how, Block) else cls(None, how, _Mode(mode))


@message
class Stage:
    volume_id: str = at(1, "")
    publish_context: Mapping[str, str] = at(2, {})
    staging_target_path: str = at(3, "")
    volume_capability: Capability = at(4, Capability())
    secrets: Mapping[str, str] = at(5, {})
    volume_context: Mapping[str, str] = at(6, {})


@message
class Unstage:
    volume_id: str = at(1, "")
    staging_target_path: str = at(2, "")


@message
class Publish:
    volume_id: str = at(1, "")
    publish_context: Mapping[str, str] = at(2, {})
    staging_target_path: str = at(3, "")
    target_path: str = at(4, "")
    volume_capability: Capability = at(5, Capability())
    readonly: bool = at(6, False)
    secrets: Mapping[str, str] = at(7, {})
    volume_context: Mapping[str, str] = at(8, {})


@message
class Unpublish:
    volume_id: str = at(1, "")
    target_path: str = at(2, "")


@message
class CapacityRange:
    required_bytes: int = at(1, 0)


@message
class Expand:
    volume_id: str = at(1, "")
    volume_path: str = at(2, "")
    capacity_range: CapacityRange = at(3, CapacityRange())
    staging_target_path: str = at(4, "")
    volume_capability: Capability = at(5, Capability())
    secrets: Mapping[str, str] = at(6, {})


@message
class Expanded:
    capacity_bytes: int = at(1, 0)


@message
class _StatsOf:
    volume_id: str = at(1, "")
    volume_path: str = at(2, "")
    staging_target_path: str = at(3, "")


@message
class Usage:
    available: int = at(1, 0)
    total: int = at(2, 0)
    used: int = at(3, 0)
    unit: int = at(4, 0)
    """1 for bytes, 2 for inodes."""


@message
class _Stats:
    usage: tuple[Usage, ...] = at(1, ())


@message
class _Topology:
    segments: Mapping[str, str] = at(1, {})


@message
class NodeInfo:
    node_id: str = at(1, "")
    max_volumes_per_node: int = at(2, 0)
    accessible_topology: _Topology = at(3, _Topology())


@message
class _Rpc:
    type: Can = at(1, Can.UNKNOWN)


@message
class _Capability:
    rpc: _Rpc | None = at(1, None)


@message
class _Capabilities:
    capabilities: tuple[_Capability, ...] = at(1, ())


class Driver:
    """A registered driver. All calls raise: CallError."""

    def __init__(self, name: str, socket: str) -> None:
        self.name = name
        self.socket = socket
        self._service = ServiceSocket(socket)

    async def info(self) -> NodeInfo:
        return await self._call("NodeGetInfo", _Empty(), NodeInfo)

    async def can(self) -> frozenset[int]:
        """What of `Can` it can, asked each time: a driver may be replaced behind its socket."""
        answer = await self._call("NodeGetCapabilities", _Empty(), _Capabilities)
        return frozenset(each.rpc.type for each in answer.capabilities if each.rpc is not None)

    async def stage(self, request: Stage) -> None:
        await self._call("NodeStageVolume", request, _Empty)

    async def unstage(self, volume_id: str, path: str) -> None:
        await self._call("NodeUnstageVolume", Unstage(volume_id, path), _Empty)

    async def publish(self, request: Publish) -> None:
        await self._call("NodePublishVolume", request, _Empty)

    async def unpublish(self, volume_id: str, path: str) -> None:
        await self._call("NodeUnpublishVolume", Unpublish(volume_id, path), _Empty)

    async def expand(self, request: Expand) -> int:
        """The bytes the volume has now."""
        return (await self._call("NodeExpandVolume", request, Expanded)).capacity_bytes

    async def stats(self, volume_id: str, path: str) -> tuple[Usage, ...]:
        return (await self._call("NodeGetVolumeStats", _StatsOf(volume_id, path), _Stats)).usage

    async def close(self) -> None:
        await self._service.close()

    async def _call(self, method: str, request: Any, answer: type[T]) -> T:
        path, begin, code = f"/csi.v1.Node/{method}", time.monotonic(), "OK"
        try:
            return await self._service.call(path, request, answer, seconds=_SECONDS)
        except CallError as failed:
            code = failed.code
            raise
        finally:
            counters.CSI.observe(time.monotonic() - begin, self.name, path, code, "false")


def access_mode(mode: str, *, multi_writer: bool) -> AccessMode:
    """The CSI word for a PersistentVolume's access mode; a driver without MULTI_WRITER knows fewer."""
    once = (AccessMode.MANY_PODS, AccessMode.ONE_POD) if multi_writer else (AccessMode.SINGLE_WRITER,) * 2
    words = {
        "ReadWriteOnce": once[0],
        "ReadWriteOncePod": once[1],
        "ReadOnlyMany": AccessMode.MANY_READERS,
        "ReadWriteMany": AccessMode.MANY_WRITERS,
    }
    return words.get(mode, AccessMode.UNKNOWN)
