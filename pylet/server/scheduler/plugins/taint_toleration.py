"""TaintToleration: a tainted node takes pods that tolerate it, and rather those without a soft taint against them."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.object import Object, dig
from pylet.api.taints import first_untolerated, tolerates
from pylet.server.scheduler.changes import became, is_node, tolerates_otherwise
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal, Score, reversed_normalized
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

_HARD = ("NoSchedule", "NoExecute")


class TaintToleration(Plugin):
    name = "TaintToleration"
    is_local = True
    normalize = staticmethod(reversed_normalized)
    _refusal = Refusal(name, ("node(s) had untolerated taint(s)",), is_final=True)

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check:
        tolerations = pod.tolerations

        def check(node: NodeInfo) -> Refusal | None:
            if node.taints and first_untolerated(node.taints, tolerations, _HARD) is not None:
                return self._refusal
            return None

        return check

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score:
        soft = [t for t in pod.tolerations if t.get("effect") in (None, "", "PreferNoSchedule")]

        def count(node: NodeInfo) -> int:
            if not node.taints:
                return 0
            return sum(
                taint["effect"] == "PreferNoSchedule" and not any(tolerates(t, taint) for t in soft)
                for taint in node.taints
            )

        return count

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        def is_tolerated(node: Object) -> bool:
            return first_untolerated(dig(node, "spec", "taints", default=()), pod.tolerations, _HARD) is None

        return became(change, is_tolerated) if is_node(change) else tolerates_otherwise(change, pod)


PLUGIN = TaintToleration()
