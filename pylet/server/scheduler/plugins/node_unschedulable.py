"""NodeUnschedulable: a cordoned node takes only pods that tolerate it."""

from __future__ import annotations

from pylet.api.object import Object, dig
from pylet.api.taints import tolerates
from pylet.server.scheduler.changes import became, is_node, is_of
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.snapshot import Snapshot

_TAINT = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule"}


class NodeUnschedulable(Plugin):
    name = "NodeUnschedulable"
    is_local = True
    _refusal = Refusal(name, ("node(s) were unschedulable",), is_final=True)

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        if _is_tolerated(pod.pod):
            return None
        return lambda node: self._refusal if node.unschedulable else None

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if is_node(change):
            return became(change, lambda node: not dig(node, "spec", "unschedulable"))
        return is_of(change, pod) and change.after is not None and _is_tolerated(change.after)


def _is_tolerated(pod: Object) -> bool:
    return any(tolerates(toleration, _TAINT) for toleration in pod["spec"].get("tolerations") or ())


PLUGIN = NodeUnschedulable()
