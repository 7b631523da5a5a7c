"""PodTopologySpread: pods that belong together stand apart, over nodes and zones.

Constraints a pod brings are kept (`DoNotSchedule`) or preferred (`ScheduleAnyway`); a workload's pod that brings none
is spread softly with its siblings, over hosts and zones (upstream's system defaults, maxSkew 3 and 5).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

from pylet.api import selector
from pylet.api.object import Object
from pylet.server.scheduler.decide import BEST, Check
from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot, counts_for_spreading

_HOST, _ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_NO_LABEL = ("node(s) didn't match pod topology spread constraints (missing required label)",)
_SKEWED = ("node(s) didn't match pod topology spread constraints",)


class PodTopologySpread:
    name = "PodTopologySpread"

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        hard = [c for c in _constraints(pod) if c["whenUnsatisfiable"] == "DoNotSchedule"]
        if not hard:
            return None
        rules = [_rule(pod, constraint, snapshot) for constraint in hard]

        def check(node: NodeInfo) -> Sequence[str]:
            for rule in rules:
                if why := rule(node):
                    return why
            return ()

        return check

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int] | None:
        soft = [c for c in _constraints(pod) if c["whenUnsatisfiable"] == "ScheduleAnyway"]
        siblings: list[tuple[str, Callable[[PodInfo], bool]]]
        if soft:
            siblings = [(constraint["topologyKey"], _siblings(pod, constraint)) for constraint in soft]
        elif pod.owner_uid:
            siblings = [(key, lambda other: other.owner_uid == pod.owner_uid) for key in (_HOST, _ZONE)]
        else:
            return None
        totals = [0] * len(nodes)
        for key, is_sibling in siblings:
            counts = _counts(key, is_sibling, snapshot.nodes.values())
            if key != _HOST and len(counts) < 2:
                continue  # one zone, or none: nothing to spread over
            most = max(counts.values(), default=0)
            for index, node in enumerate(nodes):
                here = counts.get(node.labels.get(key, ""), 0)
                totals[index] += (most - here) * BEST // most if most else BEST
        return [total // len(siblings) for total in totals]


def _constraints(pod: PodInfo) -> list[Object]:
    return pod.spec.get("topologySpreadConstraints") or []


def _siblings(pod: PodInfo, constraint: Object) -> Callable[[PodInfo], bool]:
    wanted = dict((constraint.get("labelSelector") or {}).get("matchLabels") or {})
    wanted |= {key: pod.labels[key] for key in constraint.get("matchLabelKeys") or () if key in pod.labels}
    matches = selector.from_object({**(constraint.get("labelSelector") or {}), "matchLabels": wanted})
    return lambda other: other.namespace == pod.namespace and counts_for_spreading(other) and matches(other.labels)


def _counts(key: str, is_sibling: Callable[[PodInfo], bool], nodes: Iterable[NodeInfo]) -> Mapping[str, int]:
    """Siblings by the value of a topology label; a domain without any counts as 0."""
    counts: Counter[str] = Counter()
    for node in nodes:
        domain = node.labels.get(key)
        if domain is not None:
            counts[domain] += sum(map(is_sibling, node.pods.values()))
    return counts


def _rule(pod: PodInfo, constraint: Object, snapshot: Snapshot) -> Check:
    key, is_sibling = constraint["topologyKey"], _siblings(pod, constraint)
    counts = _counts(key, is_sibling, [node for node in snapshot.nodes.values() if _takes_part(pod, node, constraint)])
    least = min(counts.values(), default=0) if len(counts) >= (constraint.get("minDomains") or 1) else 0
    own = int(is_sibling(pod))

    def check(node: NodeInfo) -> Sequence[str]:
        domain = node.labels.get(key)
        if domain is None:
            return _NO_LABEL
        return _SKEWED if counts.get(domain, 0) + own - least > constraint["maxSkew"] else ()

    return check


def _takes_part(pod: PodInfo, node: NodeInfo, constraint: Object) -> bool:
    """Nodes the pod could not go to anyway are no domains (nodeAffinityPolicy: Honor, the default)."""
    if constraint.get("nodeAffinityPolicy") == "Ignore":
        return True
    wanted = pod.spec.get("nodeSelector")
    return not wanted or wanted.items() <= node.labels.items()


PLUGIN = PodTopologySpread()
