"""Looks every ten seconds at what the node has left, says so, and makes pods leave before the kernel chooses.

A look reads /proc/meminfo, /proc/loadavg and two statvfs, and asks the runtime where its images are. Pods are measured
only when a threshold is crossed, or where they have limits of local storage. At most one pod leaves for a threshold at
a look.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from pylet.agent.kubelet import counters, eviction, storage_limits
from pylet.agent.kubelet.container_gc import remove_dead
from pylet.agent.kubelet.eviction import ContainerLoad, Disk, Observation, PodLoad, Policy, State, Threshold
from pylet.agent.kubelet.image_gc import ImageGc
from pylet.agent.kubelet.machine import processes
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.stats import PodUse
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import Object, key_of, uid_of
from pylet.api.podtemplate import is_active
from pylet.api.quantity import NANOS, Format, Quantity
from pylet.cri.interface import CriError

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10.0
_LIMITS = {"Usage": "emptydirfs.limit", "Pod": "ephemeralpodfs.limit", "Container": "ephemeralcontainerfs.limit"}
"""What a message of `storage_limits` begins with → the signal that counts it."""


@dataclass(slots=True)
class Evicting:
    """`run` until cancelled; `conditions` is what the Node's status says."""

    node: Node
    policy: Policy
    meter: Meter
    images: ImageGc
    _state: State = field(default_factory=State)

    def conditions(self) -> frozenset[str]:
        return self._state.conditions

    async def run(self) -> None:
        while True:
            try:
                await self.look()
            except (CriError, OSError) as failed:
                log.warning("look at what is left: %s", failed)
            await self.node.clock.sleep(_LOOK_SECONDS)

    async def look(self) -> None:
        """Raises: CriError, OSError."""
        seen = await self._seen()
        self._state = eviction.look(self.policy, self._state, seen, self.node.clock.now())
        if await self._enforce_limits():
            return
        threshold = eviction.most_urgent(self._state.acting)
        if threshold is None:
            return
        log.warning("%s is short: attempting to reclaim %s", threshold.signal, threshold.resource)
        self.node.tell("Warning", "EvictionThresholdMet", f"Attempting to reclaim {threshold.resource}")
        disk = Disk.ONLY
        if threshold.condition == eviction.DISK:
            disk = eviction.disk_of(threshold.signal, images_apart=await self.meter.are_images_apart())
            if disk is not Disk.NODE and await self._has_freed_disk():
                return
        await self._evict_one(threshold, seen, disk)

    async def _seen(self) -> Mapping[str, Observation]:
        running, most = processes()
        capacity, available, inodes, free = await self.meter.image_filesystem()
        disk = self.meter.node_filesystem()
        return {
            "memory.available": _bytes(self.meter.memory_available(), self.node.settings.memory_bytes),
            eviction.ALLOCATABLE_MEMORY: _bytes(*self.meter.allocatable_memory()),
            "nodefs.available": _bytes(disk[1], disk[0]),
            "nodefs.inodesFree": _number(disk[3], disk[2]),
            "imagefs.available": _bytes(available, capacity),
            "imagefs.inodesFree": _number(free, inodes),
            "pid.available": _number(most - running, most),
        }

    async def _has_freed_disk(self) -> bool:
        """Of what nobody runs: whether that is enough."""
        dead = await remove_dead(self.node)
        freed = await self.images.free_everything()
        log.info("removed %d containers of pods that are over, and %d bytes of images", dead, freed)
        return not eviction.crossed(self.policy.thresholds, await self._seen(), with_reclaim=True)

    async def _evict_one(self, threshold: Threshold, seen: Mapping[str, Observation], disk: Disk) -> None:
        used = await self.meter.read(with_disks=threshold.condition == eviction.DISK)
        by_uid = {uid_of(use.pod): use for use in used.pods}
        loads = [_load(pod, by_uid.get(uid_of(pod)), disk) for pod in self._active()]
        for load in eviction.ranked(loads, threshold.resource):
            words, annotations = eviction.message(load, threshold.resource, self._state.acting, seen)
            ending = Ending(eviction.REASON, words, eviction.grace_seconds(self.policy, threshold, load.pod), words)
            if await self._end(load.pod, ending, threshold.signal, annotations):
                return
        log.warning("no pod is left to evict for %s", threshold.signal)

    async def _enforce_limits(self) -> bool:
        limited = [pod for pod in self._active() if storage_limits.is_limited(pod) and not eviction.is_critical(pod)]
        if not limited:
            return False
        kept = await self.meter.kept(limited)
        ended = False
        for pod in limited:
            if uid_of(pod) in kept and (words := storage_limits.exceeded(pod, kept[uid_of(pod)])):
                ended |= await self._end(pod, Ending(eviction.REASON, words, 1), _LIMITS[words.split()[0]], {})
        return ended

    async def _end(self, pod: Object, ending: Ending, signal: str, annotations: Mapping[str, str]) -> bool:
        """Returns when it has ended, or takes too long: what it leaves is there for the next look."""
        log.warning("evicting pod %s: %s", key_of(pod), ending.message)
        self.node.recorder.tell(pod, "Warning", eviction.REASON, ending.message, annotations=annotations)
        if not await self.node.end_all([pod], ending, None):
            return False
        counters.EVICTIONS.add(signal)
        return True

    def _active(self) -> list[Object]:
        return [pod for pod in self.node.pods() if is_active(pod)]


def _load(pod: Object, use: PodUse | None, disk: Disk) -> PodLoad:
    if use is None:
        return PodLoad(pod, measured=False)
    bytes_, inodes = _on(disk, use)
    return PodLoad(
        pod,
        use.usage.working_set_bytes or 0,
        bytes_,
        inodes,
        use.processes or 0,
        tuple(ContainerLoad(c.name, c.usage.working_set_bytes, c.disk_bytes) for c in use.containers),
    )


def _on(disk: Disk, use: PodUse) -> tuple[int, int]:
    """Bytes and inodes."""
    layers = sum(c.rootfs_bytes or 0 for c in use.containers), sum(c.rootfs_inodes for c in use.containers)
    match disk:
        case Disk.ONLY:
            return use.disk_bytes, use.inodes
        case Disk.NODE:
            return use.disk_bytes - layers[0], use.inodes - layers[1]
        case Disk.IMAGES:
            return layers


def _bytes(available: int, capacity: int) -> Observation:
    return Observation(Quantity(available * NANOS, Format.BINARY_SI), capacity)


def _number(available: int, capacity: int) -> Observation:
    return Observation(Quantity(available * NANOS), capacity)
