"""What keeps the node itself healthy beside its pods: eviction and the collection of unused images, over one meter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from pylet.agent.kubelet import shutdown
from pylet.agent.kubelet.evicting import Evicting
from pylet.agent.kubelet.image_gc import ImageGc, There
from pylet.agent.kubelet.kubelet_config import KubeletConfig
from pylet.agent.kubelet.metering import Meter
from pylet.agent.kubelet.node_allocatable import ENFORCED
from pylet.agent.kubelet.resolver import host_objection
from pylet.agent.kubelet.system_oom import SystemOom
from pylet.agent.kubelet.volumes import mounts
from pylet.agent.kubelet.workplace import Node

_CGROUP_V1 = """\
cgroup v1 detected. cgroup v1 support is deprecated and will be removed in a future release. Please migrate to \
cgroup v2. More information at https://git.k8s.io/enhancements/keps/sig-node/5573-remove-cgroup-v1"""

_SWAPPED = """\
The tmpfs noswap option is not supported. Memory-backed volumes (e.g. secrets, emptyDirs, etc.) might be swapped to \
disk and should no longer be considered secure."""


class Upkeep:
    """`run` until cancelled; `conditions` are those of running short, for the Node's status."""

    def __init__(
        self, node: Node, meter: Meter, config: KubeletConfig, there: There, changed: Callable[[], None]
    ) -> None:
        """`there` hears which images there are; `changed` is called when the node is, or is not, ready all at once."""
        self._images = ImageGc(
            node.runtime,
            node.clock,
            meter.image_filesystem,
            config.image_gc,
            there,
            tell=node.tell,
            pods=node.pods,
        )
        self._evicting = Evicting(node, config.eviction, meter, self._images)
        self.conditions = self._evicting.conditions
        self._node, self._config, self._changed = node, config, changed

    def problem(self) -> str:
        """Why the node is not ready."""
        return shutdown.NOT_READY if self._node.closing.is_set() else ""

    async def run(self) -> None:
        self._tell_beginning()
        async with asyncio.TaskGroup() as group:
            for component in (self._images, self._evicting, SystemOom(self._node.tell)):
                group.create_task(component.run())
            if self._config.shutdown:
                from pylet.agent.kubelet.closing import Closing

                closing = Closing(self._config.shutdown, self._node, self._changed)
                group.create_task(closing.run())

    def _tell_beginning(self) -> None:
        self._node.tell("Normal", "Starting", "Starting kubelet.")
        if not self._node.cgroups.is_v2:
            self._node.tell("Warning", "CgroupV1", _CGROUP_V1)
        settings = self._node.settings
        if mounts.may_swap(settings.root):
            self._node.tell("Warning", "PossibleMemoryBackedVolumesOnDisk", _SWAPPED)
        if words := host_objection(settings.host_resolver(), settings.cluster_domain):
            self._node.tell("Warning", "CheckLimitsForResolvConf", words)
        for kept in self._config.kept:
            self._node.tell("Normal", ENFORCED, f"Updated limits on {kept.whose} reserved cgroup {kept.group}")
