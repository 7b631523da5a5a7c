"""Reads what the node, its pods and containers use at the moment somebody asks; in between nothing is read."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.config import cgroup_parent, log_directory
from pylet.agent.kubelet.machine import Machine, read_load
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.stats import ContainerUse, NodeUse, PodUse
from pylet.agent.kubelet.usage import Usage, read_usage
from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.object import Object, dig, uid_of
from pylet.cri.interface import Runtime
from pylet.cri.messages import ContainerStats


class Meter:
    def __init__(
        self, runtime: Runtime, clock: Clock, pods: Callable[[], list[Object]], settings: Settings, machine: Machine
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._pods = pods
        self._settings = settings
        self._machine = machine
        self._cgroups = Cgroups(settings.cgroup_root)

    async def read(self) -> NodeUse:
        """Raises: CriError."""
        by_pod: dict[str, list[ContainerStats]] = {}
        for stats in await self._runtime.container_stats():
            by_pod.setdefault(stats.attributes.labels.get(labels.POD_UID, ""), []).append(stats)
        return await asyncio.to_thread(self._gather, by_pod, self._clock.now())

    def _gather(self, by_pod: dict[str, list[ContainerStats]], now: datetime) -> NodeUse:
        pods = tuple(self._pod(pod, by_pod[uid_of(pod)], now) for pod in self._pods() if uid_of(pod) in by_pod)
        load, disk = read_load(self._settings.root), os.statvfs(self._settings.root)
        usage = read_usage(self._cgroups.mounted, "/", now)
        used = self._machine.memory_bytes - load.memory_available_bytes
        usage = replace(usage, memory_bytes=usage.memory_bytes or used, working_set_bytes=used)
        return NodeUse(
            self._settings.node_name,
            now - timedelta(seconds=float(Path("/proc/uptime").read_text().split()[0])),
            usage,
            self._machine.cpus,
            self._machine.memory_bytes,
            (disk.f_blocks * disk.f_frsize, load.disk_available_bytes, load.disk_inodes, load.disk_free_inodes),
            pods,
        )

    def _pod(self, pod: Object, stats: list[ContainerStats], now: datetime) -> PodUse:
        usage = read_usage(self._cgroups.mounted, cgroup_parent(pod, self._settings), now)
        containers = (self._container(pod, entry) for entry in stats)
        return PodUse(pod, usage, tuple(sorted(containers, key=lambda container: container.name)))

    def _container(self, pod: Object, stats: ContainerStats) -> ContainerUse:
        name = stats.attributes.labels.get(labels.CONTAINER_NAME, stats.attributes.metadata.name)
        known = (
            *dig(pod, "status", "containerStatuses", default=()),
            *dig(pod, "status", "initContainerStatuses", default=()),
        )
        status: Object = next((entry for entry in known if entry["name"] == name), {})
        started = dig(status, "state", "running", "startedAt")
        logs = log_directory(pod, self._settings) / name
        return ContainerUse(
            name,
            stats.attributes.id,
            status.get("image", ""),
            timestamps.parse(started) if started else None,
            _usage(stats),
            stats.writable_layer.used_bytes if stats.writable_layer is not None else None,
            sum(entry.stat().st_size for entry in logs.iterdir()) if logs.is_dir() else None,
        )


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
