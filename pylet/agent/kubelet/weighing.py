"""Gives each QoS class the share of the CPUs that its pods ask for, and all pods together what there is for them."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass

from pylet.agent.kubelet.node_allocatable import ENFORCED, NOT_ENFORCED
from pylet.agent.kubelet.resources import tiers
from pylet.agent.kubelet.workplace import Node
from pylet.aio.failures import in_words
from pylet.cri.messages import LinuxResources

log = logging.getLogger(__name__)

_GATHER_SECONDS = 1.0
_RETRY_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Weighing:
    """`changed` is set whenever other pods are there."""

    node: Node
    changed: asyncio.Event

    async def run(self) -> None:
        """Until cancelled. Pods that use more than they all may have now are given time to be evicted."""
        there: dict[str, LinuxResources] = {}
        while True:
            there = await self._apply(there)
            if "" in there:
                await self.changed.wait()
            self.changed.clear()
            await self.node.clock.sleep(_GATHER_SECONDS if "" in there else _RETRY_SECONDS)

    async def _apply(self, there: dict[str, LinuxResources]) -> dict[str, LinuxResources]:
        """What the tiers have now; those that cannot have it yet are left out."""
        of, is_new = self.node.settings, "" not in there
        wanted = tiers(self.node.pods(), of.cpus * 1000 - of.reserved_milli_cpus, of.memory_bytes - of.reserved_bytes)
        for tier in [tier for tier, limits in wanted.items() if there.get(tier) != limits]:
            group = of.groups.of_pods(tier)
            try:
                await self.node.cgroups.apply(group, wanted[tier])
            except OSError as failed:
                log.warning("cgroup %s: %s", group, failed)
                del wanted[tier]
                if not tier:
                    words = f'Failed to update Node Allocatable Limits "{group}": {in_words(failed)}'
                    self.node.tell("Warning", NOT_ENFORCED, words)
        if is_new and "" in wanted:
            self.node.tell("Normal", ENFORCED, "Updated Node Allocatable limit across pods")
        return wanted
