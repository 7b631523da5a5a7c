"""What a node that runs short does about it, look by look."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from pylet.agent.kubelet.evicting import Evicting
from pylet.agent.kubelet.eviction import Policy, thresholds
from pylet.agent.kubelet.stats import ContainerUse, PodUse
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.usage import Usage
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
from pylet.aio.clock import VirtualClock
from pylet.api.object import Object
from tests.agent.kubelet.builders import NOW, pod

MIB = 1 << 20
FREE, FULL = (100 * MIB, 90 * MIB, 100, 90), (100 * MIB, 1 * MIB, 100, 90)
"""Of a disk: bytes there are and are left, and inodes."""


def use(of: Object, *, layer: int = 0, logs: int = 0, volume: int = 0) -> PodUse:
    """In MiB."""
    main = ContainerUse("main", "c1", "", None, Usage(NOW), rootfs_bytes=layer * MIB, logs_bytes=logs * MIB)
    return PodUse(of, Usage(NOW), (main,), {"scratch": VolumeUsage(0, 0, volume * MIB, 0, 0, 0)})


@dataclass
class Machine:
    """A node with two pods, one that writes to its own layer and one to a volume."""

    node_disk: tuple[int, ...] = FREE
    image_disk: tuple[int, ...] = FREE
    images_apart: bool = False
    ended: list[tuple[str, int | None]] = field(default_factory=list)
    told: list[tuple[str, str, Mapping[str, str]]] = field(default_factory=list)
    freed: int = 0

    def __post_init__(self) -> None:
        self.pods = [
            pod(meta={"name": name, "uid": name}, volumes=[{"name": "scratch", "emptyDir": {}}])
            for name in ("writes-layer", "writes-volume")
        ]

    async def end_all(self, pods: Iterable[Object], ending: Ending, within: float | None) -> int:
        assert within is None
        self.ended += [(ended["metadata"]["name"], ending.grace_seconds) for ended in pods]
        return 1

    def _tell(self, about: Object, type_: str, reason: str, message: str, *, annotations: Mapping[str, str]) -> None:
        self.told.append((about["metadata"]["name"], reason, annotations))

    async def _free_everything(self) -> int:
        self.freed += 1
        return 0

    def evicting(self, **policy: Any) -> Evicting:
        async def images() -> Any:
            return self.image_disk

        async def read(*, with_disks: bool) -> Any:
            layer, volume = self.pods
            return SimpleNamespace(pods=(use(layer, layer=50), use(volume, volume=20, logs=1)))

        async def are_images_apart() -> bool:
            return self.images_apart

        meter: Any = SimpleNamespace(
            image_filesystem=images,
            node_filesystem=lambda: self.node_disk,
            memory_available=lambda: 100 * MIB,
            allocatable_memory=lambda: (100 * MIB, 100 * MIB),
            are_images_apart=are_images_apart,
            read=read,
        )
        node: Any = SimpleNamespace(
            clock=VirtualClock(),
            settings=SimpleNamespace(memory_bytes=100 * MIB),
            pods=lambda: self.pods,
            tell=lambda *_: None,
            recorder=SimpleNamespace(tell=self._tell),
            end_all=self.end_all,
        )
        gc: Any = SimpleNamespace(free_everything=self._free_everything)
        return Evicting(node, Policy(thresholds(**policy), max_grace_seconds=7), meter, gc)


HARD = {"nodefs.available": "10%", "imagefs.available": "10%"}


@pytest.mark.parametrize(
    ("machine", "victim", "frees_images"),
    [
        pytest.param(Machine(), None, False, id="all is well"),
        pytest.param(Machine(FULL, FULL), "writes-layer", True, id="one disk: who has most of all, and images first"),
        pytest.param(Machine(FULL, FREE, True), "writes-volume", False, id="the node's own: volumes and logs alone"),
        pytest.param(Machine(FREE, FULL, True), "writes-layer", True, id="the images': layers alone"),
    ],
)
async def test_who_leaves_a_full_disk(machine: Machine, victim: str | None, frees_images: bool) -> None:
    await machine.evicting(hard=HARD).look()
    assert machine.ended == ([(victim, 1)] if victim else [])
    assert machine.freed == frees_images
    if victim:
        assert [(name, reason) for name, reason, _ in machine.told] == [(victim, "Evicted")]
        assert machine.told[0][2]["starved_resource"] == "ephemeral-storage"


async def test_who_leaves_for_a_soft_threshold_has_no_more_time_than_the_node_gives() -> None:
    machine = Machine(FULL, FREE, images_apart=True)
    machine.pods[1]["spec"]["terminationGracePeriodSeconds"] = 30
    soft = {"nodefs.available": "10%"}
    await machine.evicting(hard={}, soft=soft, soft_grace={"nodefs.available": timedelta(0)}).look()
    assert machine.ended == [("writes-volume", 7)]
