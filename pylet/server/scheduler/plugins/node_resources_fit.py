"""NodeResourcesFit: a node takes what it has room for; rather the node that has most (LeastAllocated)."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.server.scheduler.decide import BEST, Check
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot


class NodeResourcesFit:
    name = "NodeResourcesFit"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        wanted = [(name, amount) for name, amount in pod.requests.items() if amount]

        def check(node: NodeInfo) -> Sequence[str]:
            room, used = node.allocatable, node.requested
            short = ["Too many pods"] if len(node.pods) >= room.get("pods", 0) else []
            for name, amount in wanted:
                if amount > room.get(name, 0) - used[name]:
                    short.append(f"Insufficient {name}")
            return short

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int]:
        asked = pod.scored_requests
        scores = []
        for node in nodes:
            total = 0
            for name, amount in asked.items():
                room = node.allocatable.get(name, 0)
                left = room - node.scored[name] - amount
                total += left * BEST // room if left > 0 else 0
            scores.append(total // len(asked))
        return scores


PLUGIN = NodeResourcesFit()
