"""NodePorts: two pods of a node cannot have the same port of the node."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.server.scheduler.decide import Check
from pylet.server.scheduler.model import HostPort, NodeInfo, PodInfo, Snapshot

_WHY = ("node(s) didn't have free ports for the requested pod ports",)
_ALL = "0.0.0.0"


class NodePorts:
    name = "NodePorts"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        if not pod.ports:
            return None

        def check(node: NodeInfo) -> Sequence[str]:
            taken = (port for other in node.pods.values() for port in other.ports)
            return _WHY if any(_collide(port, wanted) for port in taken for wanted in pod.ports) else ()

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> None:
        return None


def _collide(one: HostPort, other: HostPort) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or _ALL in (one[0], other[0]))


PLUGIN = NodePorts()
