"""NodeName: a pod that names its node goes there or nowhere."""

from __future__ import annotations

from pylet.server.scheduler.changes import is_node
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.snapshot import Snapshot


class NodeName(Plugin):
    name = "NodeName"
    is_local = True
    _refusal = Refusal(name, ("node(s) didn't match the requested node name",), is_final=True)

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        wanted = pod.spec.get("nodeName")
        if not wanted:
            return None
        return lambda node: None if node.name == wanted else self._refusal

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        return is_node(change) and change.before is None


PLUGIN = NodeName()
