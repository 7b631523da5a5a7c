"""NodePorts: two pods of a node cannot have the same port of the node."""

from __future__ import annotations

from pylet.api.hostports import collide, host_ports
from pylet.server.scheduler.changes import is_node, left
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.snapshot import Snapshot


class NodePorts(Plugin):
    name = "NodePorts"
    is_local = True
    _refusal = Refusal(name, ("node(s) didn't have free ports for the requested pod ports",))

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        if not pod.ports:
            return None
        return lambda node: self._refusal if collide(node.ports, pod.ports) else None

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if is_node(change):
            return change.before is None
        gone = left(change)
        return gone is not None and collide(host_ports(gone["spec"]), pod.ports)


PLUGIN = NodePorts()
