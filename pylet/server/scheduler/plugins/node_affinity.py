"""NodeAffinity: nodeSelector and required node affinity allow, preferred node affinity attracts."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.nodeaffinity import allows, matches_term
from pylet.api.object import dig
from pylet.server.scheduler.decide import Check, normalized
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot

_WHY = ("node(s) didn't match Pod's node affinity/selector",)


class NodeAffinity:
    name = "NodeAffinity"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        if not pod.spec.get("nodeSelector") and not dig(pod.spec, "affinity", "nodeAffinity"):
            return None
        return lambda node: () if allows(pod.spec, node.name, node.labels) else _WHY

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int] | None:
        preferred = dig(pod.spec, "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution")
        if not preferred:
            return None
        return normalized(
            [
                sum(term["weight"] for term in preferred if matches_term(term["preference"], node.name, node.labels))
                for node in nodes
            ]
        )


PLUGIN = NodeAffinity()
