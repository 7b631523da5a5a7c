"""NodeDeclaredFeatures: what a pod needs of newer kubelets, its node says to have.

Source: upstream `plugins/nodedeclaredfeatures`, `component-helpers/nodedeclaredfeatures/features` (those that are on).
"""

from __future__ import annotations

from pylet.api.object import Object, dig
from pylet.api.restarts import all_could_restart
from pylet.server.scheduler.changes import is_node
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.snapshot import Snapshot

_RESTART_ALL = "RestartAllContainersOnContainerExits"


class NodeDeclaredFeatures(Plugin):
    name = "NodeDeclaredFeatures"
    _refusal = Refusal(name, ("node(s) didn't match Pod's required features",), is_final=True)

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        if not all_could_restart(pod.spec):
            return None
        return lambda node: None if _RESTART_ALL in node.features else self._refusal

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if not is_node(change) or change.after is None:
            return False
        return change.before is None or _features(change.before) != _features(change.after)


def _features(node: Object) -> list[str]:
    found: list[str] = dig(node, "status", "declaredFeatures", default=[])
    return found


PLUGIN = NodeDeclaredFeatures()
