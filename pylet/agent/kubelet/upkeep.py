"""What keeps the node itself healthy beside its pods: eviction and the collection of unused images, over one meter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pylet.agent.kubelet import shutdown
from pylet.agent.kubelet.evicting import Evicting
from pylet.agent.kubelet.image_gc import ImageGc
from pylet.agent.kubelet.kubelet_config import KubeletConfig
from pylet.agent.kubelet.machine import Machine
from pylet.agent.kubelet.metering import Meter, VolumesOf
from pylet.agent.kubelet.node_allocatable import ENFORCED
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.pull_records import PullRecords
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.system_oom import SystemOom
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.cri.interface import Runtime

_CGROUP_V1 = """\
cgroup v1 detected. cgroup v1 support is deprecated and will be removed in a future release. Please migrate to \
cgroup v2. More information at https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1"""
_NODE = {"apiVersion": "v1", "kind": "Node"}


class Upkeep:
    """`run` until cancelled; `conditions` are those of running short, for the Node's status."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        pods: Pods,
        volumes_of: VolumesOf,
        clock: Clock,
        settings: Settings,
        machine: Machine,
        config: KubeletConfig,
        pulls: PullRecords,
        changed: Callable[[], None],
    ) -> None:
        """`changed` is called when the node is ready, or is not ready, all at once."""
        self.meter = Meter(runtime, clock, pods.pods, settings, machine, volumes_of)
        self._images = ImageGc(runtime, clock, self.meter.image_filesystem, config.image_gc, pulls.prune)
        self._recorder = Recorder(client, clock, "kubelet", settings.node_name)
        self._evicting = Evicting(
            clock,
            settings,
            config.eviction,
            self.meter,
            self._images,
            self._recorder,
            self.tell,
            pods.pods,
            pods.end,
        )
        self.conditions = self._evicting.conditions
        self._pods, self._clock, self._config, self._changed = pods, clock, config, changed
        self._node: Object = {**_NODE, "metadata": {"name": settings.node_name, "uid": settings.node_name}}

    def problem(self) -> str:
        """Why the node is not ready."""
        return shutdown.NOT_READY if self._pods.closing.is_set() else ""

    def tell(self, type_: str, reason: str, message: str) -> None:
        """An Event about the node."""
        self._recorder.tell(self._node, type_, reason, message)

    async def run(self) -> None:
        self._tell_beginning()
        async with asyncio.TaskGroup() as group:
            for component in (self._recorder, self._images, self._evicting, SystemOom(self.tell)):
                group.create_task(component.run())
            if self._config.shutdown:
                from pylet.agent.kubelet.closing import Closing

                phases = self._config.shutdown
                closing = Closing(phases, self._pods, self._changed, self._recorder, self._node, self._clock)
                group.create_task(closing.run())

    def _tell_beginning(self) -> None:
        self.tell("Normal", "Starting", "Starting kubelet.")
        if not self.meter.is_v2:
            self.tell("Warning", "CgroupV1", _CGROUP_V1)
        for kept in self._config.kept:
            self.tell("Normal", ENFORCED, f"Updated limits on {kept.whose} reserved cgroup {kept.group}")
