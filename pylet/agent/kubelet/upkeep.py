"""What keeps the node itself healthy beside its pods: eviction and the collection of unused images, over one meter."""

from __future__ import annotations

import asyncio

from pylet.agent.kubelet.evicting import Evicting
from pylet.agent.kubelet.image_gc import ImageGc
from pylet.agent.kubelet.kubelet_config import KubeletConfig
from pylet.agent.kubelet.machine import Machine
from pylet.agent.kubelet.metering import Meter, VolumesOf
from pylet.agent.kubelet.pods import Pods
from pylet.agent.kubelet.pull_records import PullRecords
from pylet.agent.kubelet.settings import Settings
from pylet.aio.clock import Clock
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.cri.interface import Runtime


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
    ) -> None:
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
            pods.pods,
            pods.end,
        )
        self.conditions = self._evicting.conditions

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for component in (self._recorder, self._images, self._evicting):
                group.create_task(component.run())
