"""TaintToleration: a tainted node takes pods that tolerate it, and rather those without a soft taint against them."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.taints import first_untolerated, tolerates
from pylet.server.scheduler.decide import Check, normalized
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot


class TaintToleration:
    name = "TaintToleration"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        tolerations = pod.spec.get("tolerations") or []

        def check(node: NodeInfo) -> Sequence[str]:
            if not node.taints:
                return ()
            taint = first_untolerated(node.taints, tolerations, ("NoSchedule", "NoExecute"))
            if taint is None:
                return ()
            return (f"node(s) had untolerated taint {{{taint['key']}: {taint.get('value', '')}}}",)

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int] | None:
        tolerations = [
            t for t in pod.spec.get("tolerations") or () if t.get("effect") in (None, "", "PreferNoSchedule")
        ]
        against = [
            sum(
                taint["effect"] == "PreferNoSchedule" and not any(tolerates(t, taint) for t in tolerations)
                for taint in node.taints
            )
            for node in nodes
        ]
        return normalized(against, reverse=True) if any(against) else None


PLUGIN = TaintToleration()
