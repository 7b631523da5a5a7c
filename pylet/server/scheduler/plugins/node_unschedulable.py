"""NodeUnschedulable: a cordoned node takes only pods that tolerate it."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.taints import tolerates
from pylet.server.scheduler.decide import Check
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot

_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}
_WHY = ("node(s) were unschedulable",)


class NodeUnschedulable:
    name = "NodeUnschedulable"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        if any(tolerates(toleration, _TAINT) for toleration in pod.spec.get("tolerations") or ()):
            return None
        return lambda node: _WHY if node.node["spec"].get("unschedulable") else ()

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> None:
        return None


PLUGIN = NodeUnschedulable()
