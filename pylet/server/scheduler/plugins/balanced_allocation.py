"""NodeResourcesBalancedAllocation: rather a node whose cpu and memory would then be used in like measure."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.server.scheduler.decide import BEST
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot


class BalancedAllocation:
    name = "NodeResourcesBalancedAllocation"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> None:
        return None

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int] | None:
        if not pod.requests:
            return None  # upstream skips best-effort pods: they would all land on one node
        return [_score(pod, node) for node in nodes]


def _score(pod: PodInfo, node: NodeInfo) -> int:
    fractions = []
    for name in pod.scored_requests:
        room = node.allocatable.get(name, 0)
        if room:
            fractions.append(min(1.0, (node.requested[name] + pod.requests.get(name, 0)) / room))
    # For two resources the standard deviation is half the distance between them.
    deviation = abs(fractions[0] - fractions[1]) / 2 if len(fractions) == 2 else 0.0
    return int((1 - deviation) * BEST)


PLUGIN = BalancedAllocation()
