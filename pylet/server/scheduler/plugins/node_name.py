"""NodeName: a pod that names its node goes there or nowhere."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.server.scheduler.decide import Check
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot

_WHY = ("node(s) didn't match the requested node name",)


class NodeName:
    name = "NodeName"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        wanted = pod.spec.get("nodeName")
        if not wanted:
            return None
        return lambda node: () if node.name == wanted else _WHY

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> None:
        return None


PLUGIN = NodeName()
