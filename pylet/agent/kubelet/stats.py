"""What the node, its pods and containers use, as one reading found it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from pylet.agent.kubelet.usage import Traffic, Usage
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
from pylet.api.object import Object

Filesystem = tuple[int, int, int, int]
"""Capacity and available bytes, inodes and free inodes."""


@dataclass(frozen=True, slots=True)
class ContainerUse:
    name: str
    id: str
    image: str
    started_at: datetime | None
    usage: Usage
    rootfs_bytes: int | None = None
    logs_bytes: int | None = None
    rootfs_inodes: int = 0
    logs_inodes: int = 0
    counts: Mapping[str, float] = field(default_factory=dict)
    """By the names of cAdvisor's series."""
    group: str = ""

    @property
    def disk_bytes(self) -> int:
        return (self.rootfs_bytes or 0) + (self.logs_bytes or 0)


@dataclass(frozen=True, slots=True)
class PodUse:
    pod: Object
    usage: Usage
    containers: tuple[ContainerUse, ...]
    volumes: Mapping[str, VolumeUsage] = field(default_factory=dict)
    network: tuple[Traffic, ...] = ()
    processes: int | None = None
    files_bytes: int = 0
    """Of the node's own files that its containers may write to: /etc/hosts, their last words."""
    counts: Mapping[str, float] = field(default_factory=dict)
    group: str = ""

    @property
    def local_volumes(self) -> list[VolumeUsage]:
        """Those that live on the node's own disk and end with the pod."""
        return [self.volumes[v["name"]] for v in self.pod["spec"].get("volumes") or () if self._is_local(v)]

    def _is_local(self, volume: Object) -> bool:
        is_disk = "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium", "") == ""
        return volume["name"] in self.volumes and (is_disk or "configMap" in volume)

    @property
    def disk_bytes(self) -> int:
        volumes = sum(volume.used_bytes for volume in self.local_volumes)
        return volumes + self.files_bytes + sum(container.disk_bytes for container in self.containers)

    @property
    def inodes(self) -> int:
        volumes = sum(volume.inodes_used for volume in self.local_volumes)
        return volumes + sum(container.rootfs_inodes + container.logs_inodes for container in self.containers)

    @property
    def names(self) -> dict[str, str]:
        meta = self.pod["metadata"]
        return {"namespace": meta["namespace"], "pod": meta["name"]}


@dataclass(frozen=True, slots=True)
class NodeUse:
    """`capacity_bytes` is the machine's memory.

    `processes` is how many there are and may be; `of_pods` is what all pods use together.
    """

    name: str
    started_at: datetime
    usage: Usage
    cpus: int
    capacity_bytes: int
    filesystem: Filesystem
    pods: tuple[PodUse, ...]
    images: Filesystem = (0, 0, 0, 0)
    images_bytes: int = 0
    network: tuple[Traffic, ...] = ()
    processes: tuple[int, int] = (0, 0)
    of_pods: Usage | None = None
    of_kubelet: tuple[datetime, Usage] | None = None
    """Since when it runs, and what its group uses; None where it has none that counts all of it."""
    counts: Mapping[str, float] = field(default_factory=dict)
    """Of the whole machine, by the names of cAdvisor's series."""
    pods_counts: Mapping[str, float] = field(default_factory=dict)
    """Of all pods together."""
