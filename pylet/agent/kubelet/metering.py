"""Reads what the node, its pods and containers use at the moment somebody asks; in between nothing is read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.config import cgroup_parent, log_directory
from pylet.agent.kubelet.files import files_bytes
from pylet.agent.kubelet.group_bounds import read_bounds
from pylet.agent.kubelet.group_counts import Counts, read_counts
from pylet.agent.kubelet.machine import Machine, processes
from pylet.agent.kubelet.machine_disks import read_disks
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import is_host_network
from pylet.agent.kubelet.stats import ContainerUse, Filesystem, NodeUse, PodUse
from pylet.agent.kubelet.storage_limits import Kept
from pylet.agent.kubelet.usage import (
    Usage,
    a_process,
    own_group,
    read_pressure,
    read_processes,
    read_swap,
    read_traffic,
    read_usage,
)
from pylet.agent.kubelet.volumes.claims import claim_name
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
from pylet.aio.clock import Clock
from pylet.api import podresources, timestamps
from pylet.api.object import Object, dig, uid_of
from pylet.cri.interface import Runtime
from pylet.cri.usage import ContainerStats

_RESOURCE = "ephemeral-storage"
VolumesOf = Callable[[str], Awaitable[Mapping[str, VolumeUsage]]]


class Meter:
    """`volumes_of` tells how full the volumes of a pod are, by its uid."""

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        pods: Callable[[], list[Object]],
        settings: Settings,
        machine: Machine,
        volumes_of: VolumesOf,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._pods = pods
        self._settings = settings
        self._machine = machine
        self._volumes_of = volumes_of
        self._started_at = clock.now()
        self._images_apart: bool | None = None
        self._cgroups = Cgroups(settings.groups)

    async def read(self, *, with_disks: bool = False, with_counts: bool = False) -> NodeUse:
        """With the files of volumes and images counted only where asked: that reads whole directories.

        `with_counts` reads what cAdvisor counts, too.

        Raises: CriError.
        """
        by_pod: dict[str, list[ContainerStats]] = {}
        for stats in await self._runtime.container_stats():
            if stats.cpu is None:
                continue  # it has ended
            by_pod.setdefault(stats.attributes.labels.get(labels.POD_UID, ""), []).append(stats)
        found = await asyncio.to_thread(self._gather, by_pod, self._clock.now())
        if with_counts:
            found = await asyncio.to_thread(self._counted, found)
        if not with_disks:
            return found
        filled = [replace(use, volumes=await self._volumes_of(uid_of(use.pod))) for use in found.pods]
        images = await self._runtime.image_filesystems()
        return replace(
            found,
            pods=tuple(filled),
            images=await self.image_filesystem(),
            images_bytes=sum(filesystem.used_bytes or 0 for filesystem in images),
        )

    async def claims(self) -> dict[tuple[str, str], VolumeUsage]:
        """How full the volumes of claims are that pods use, by namespace and name."""
        found = {}
        for pod in self._pods():
            names = {volume["name"]: claim_name(pod, volume) for volume in pod["spec"].get("volumes") or ()}
            if any(names.values()):
                for name, used in (await self._volumes_of(uid_of(pod))).items():
                    if claim := names.get(name):
                        found[pod["metadata"]["namespace"], claim] = used
        return found

    async def image_filesystem(self) -> Filesystem:
        """Where images and writable layers are; the kubelet's own where nobody says. Raises: CriError."""
        for filesystem in await self._runtime.image_filesystems():
            with suppress(OSError):
                return _room(os.statvfs(filesystem.fs_id.mountpoint))
        return _room(os.statvfs(self._settings.root))

    async def are_images_apart(self) -> bool:
        """Whether images and writable layers have a disk of their own: found out once. Raises: CriError."""
        if self._images_apart is None:
            for filesystem in await self._runtime.image_filesystems():
                with suppress(OSError):
                    self._images_apart = _device(filesystem.fs_id.mountpoint) != _device(self._settings.root)
                    break
        return bool(self._images_apart)

    def memory_available(self) -> int:
        """What is neither in use nor the inactive part of the page cache: upstream's `memory.available`."""
        return self._left("/", self._machine.memory_bytes)

    def allocatable_memory(self) -> tuple[int, int]:
        """How much is left to all pods of what they may use together, and how much that is."""
        whole = self._machine.memory_bytes - self._settings.reserved_bytes
        return self._left(self._settings.groups.of_pods(), whole), whole

    def _left(self, group: str, whole: int) -> int:
        used = read_usage(self._cgroups.mounted, group, self._clock.now()).working_set_bytes
        return max(0, whole - (used or 0))

    def node_filesystem(self) -> Filesystem:
        """Raises: OSError."""
        return _room(os.statvfs(self._settings.root))

    async def kept(self, pods: Sequence[Object]) -> dict[str, Kept]:
        """By uid, what these pods keep on the node's disk. Raises: CriError."""
        used: dict[str, list[ContainerStats]] = {}
        if any(_RESOURCE in podresources.limits(pod) for pod in pods):
            for stats in await self._runtime.container_stats():
                used.setdefault(stats.attributes.labels.get(labels.POD_UID, ""), []).append(stats)
        found, apart = {}, await self.are_images_apart()
        for pod in pods:
            uses = tuple(self._container(pod, stats) for stats in used.get(uid_of(pod), ()))
            own = files_bytes(pod, self._settings)
            use = PodUse(pod, Usage(self._clock.now()), uses, await self._volumes_of(uid_of(pod)), files_bytes=own)
            volumes = {name: volume.used_bytes for name, volume in use.volumes.items()}
            containers = {c.name: (c.logs_bytes or 0) if apart else c.disk_bytes for c in uses}
            found[uid_of(pod)] = Kept(volumes, containers, use.disk_bytes)
        return found

    def _gather(self, by_pod: dict[str, list[ContainerStats]], now: datetime) -> NodeUse:
        pods = tuple(self._pod(pod, by_pod[uid_of(pod)], now) for pod in self._pods() if uid_of(pod) in by_pod)
        return NodeUse(
            self._settings.node_name,
            now - timedelta(seconds=float(Path("/proc/uptime").read_text().split()[0])),
            read_usage(self._cgroups.mounted, "/", now),
            self._machine.cpus,
            self._machine.memory_bytes,
            self.node_filesystem(),
            pods,
            network=read_traffic("self"),
            processes=processes(),
            of_pods=read_usage(self._cgroups.mounted, self._settings.groups.of_pods(), now),
            of_kubelet=self._of_kubelet(now),
        )

    def _of_kubelet(self, now: datetime) -> tuple[datetime, Usage] | None:
        group = own_group(self._cgroups.mounted, Path("/proc/self/cgroup").read_text())
        used = read_usage(self._cgroups.mounted, group, now) if group is not None else None
        return (self._started_at, used) if used is not None and used.memory_bytes is not None else None

    def _counted(self, found: NodeUse) -> NodeUse:
        mounted = self._cgroups.mounted
        pods = (
            replace(
                use,
                counts=_counts(mounted, use.group),
                containers=tuple(replace(c, counts=_counts(mounted, c.group)) for c in use.containers),
            )
            for use in found.pods
        )
        mounts, diskstats = (Path("/proc", name).read_text() for name in ("self/mountinfo", "diskstats"))
        return replace(
            found,
            pods=tuple(pods),
            counts={**read_counts(mounted, "/"), **read_disks(mounts, diskstats, self._settings.root)},
            pods_counts=read_counts(mounted, self._settings.groups.of_pods()),
        )

    def _pod(self, pod: Object, stats: list[ContainerStats], now: datetime) -> PodUse:
        mounted, group = self._cgroups.mounted, cgroup_parent(pod, self._settings)
        containers = (self._container(pod, entry) for entry in stats)
        process = None if is_host_network(pod) else a_process(mounted, group)
        return PodUse(
            pod,
            read_usage(mounted, group, now),
            tuple(sorted(containers, key=lambda container: container.name)),
            network=read_traffic(process) if process is not None else (),
            processes=read_processes(mounted, group),
            files_bytes=files_bytes(pod, self._settings),
            group=group,
        )

    def _container(self, pod: Object, stats: ContainerStats) -> ContainerUse:
        name = stats.attributes.labels.get(labels.CONTAINER_NAME, stats.attributes.metadata.name)
        known = (
            *dig(pod, "status", "containerStatuses", default=()),
            *dig(pod, "status", "initContainerStatuses", default=()),
        )
        status: Object = next((entry for entry in known if entry["name"] == name), {})
        started = dig(status, "state", "running", "startedAt")
        directory, layer = log_directory(pod, self._settings) / name, stats.writable_layer
        logs = [entry.lstat().st_size for entry in directory.iterdir()] if directory.is_dir() else None
        mounted = self._cgroups.mounted
        group = self._settings.groups.of_container(cgroup_parent(pod, self._settings), stats.attributes.id)
        swapped, may_swap = read_swap(mounted, group)
        return ContainerUse(
            name,
            stats.attributes.id,
            status.get("image", ""),
            timestamps.parse(started) if started else None,
            replace(
                _usage(stats), pressure=read_pressure(mounted, group), swap_bytes=swapped, swap_limit_bytes=may_swap
            ),
            layer.used_bytes if layer is not None else None,
            sum(logs) if logs is not None else None,
            (layer.inodes_used or 0) if layer is not None else 0,
            len(logs) + 1 if logs is not None else 0,
            group=group,
        )


def _device(path: str | Path) -> int:
    """The one that the file system is on. Raises: OSError."""
    return os.stat(path).st_dev


def _room(found: os.statvfs_result) -> Filesystem:
    return found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize, found.f_files, found.f_favail


def _counts(mounted: Path, group: str) -> Counts:
    return {**read_counts(mounted, group), **read_bounds(mounted, group)}


def _usage(stats: ContainerStats) -> Usage:
    cpu, memory = stats.cpu, stats.memory
    stamp = cpu.timestamp if cpu is not None else 0
    return Usage(
        datetime.fromtimestamp(stamp / 1e9, UTC),
        cpu.usage_core_nano_seconds if cpu is not None else None,
        memory.usage_bytes if memory is not None else None,
        memory.working_set_bytes if memory is not None else None,
        memory.rss_bytes if memory is not None else None,
        memory.page_faults if memory is not None else None,
        memory.major_page_faults if memory is not None else None,
    )
