"""PodTopologySpread: pods that belong together stand apart, over nodes and zones.

Constraints a pod brings are kept (`DoNotSchedule`) or preferred (`ScheduleAnyway`); a pod that brings none is spread by
the defaults of the profile, softly with whatever its services and its workload select.

Source: upstream `plugins/podtopologyspread`, `plugins/helper/spread.go`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pylet.api import selector
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.kinds.replicationcontroller import KIND as REPLICATION_CONTROLLER
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.nodeaffinity import allows
from pylet.api.object import Key, Object, dig, labels_of
from pylet.api.selector import LabelSelector, Requirement
from pylet.api.taints import first_untolerated
from pylet.server.scheduler.changes import holds_node, is_node, is_of, tolerates_otherwise
from pylet.server.scheduler.decide import BEST, Change, Check, Plugin, Refusal, Score
from pylet.server.scheduler.model import NodeInfo, Pending, PodInfo
from pylet.server.scheduler.snapshot import Snapshot, Tally

_HOST = "kubernetes.io/hostname"
_HARD = "DoNotSchedule"
SYSTEM_DEFAULTS: Sequence[Object] = (
    {"topologyKey": _HOST, "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 3},
    {"topologyKey": "topology.kubernetes.io/zone", "whenUnsatisfiable": "ScheduleAnyway", "maxSkew": 5},
)
_OWNERS: Mapping[tuple[str, str], Kind] = {
    ("v1", "ReplicationController"): REPLICATION_CONTROLLER,
    ("apps/v1", "ReplicaSet"): REPLICA_SET,
    ("apps/v1", "StatefulSet"): STATEFUL_SET,
}


class _Constraint(NamedTuple):
    key: str
    max_skew: int
    selector: LabelSelector
    min_domains: int
    honors_affinity: bool
    honors_taints: bool


class PodTopologySpread(Plugin):
    name = "PodTopologySpread"
    minds_arrivals = True
    _skewed = Refusal(name, ("node(s) didn't match pod topology spread constraints",))
    _no_label = Refusal(
        name, ("node(s) didn't match pod topology spread constraints (missing required label)",), is_final=True
    )

    def __init__(self, defaults: Sequence[Object] = SYSTEM_DEFAULTS) -> None:
        self._defaults = defaults

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        constraints = self._constraints(pod, snapshot, hard=True)
        if not constraints:
            return None
        keys = tuple(constraint.key for constraint in constraints)
        rules = []
        for constraint in constraints:
            counts, domains = _counts(pod, constraint, keys, snapshot)
            is_enough = domains >= constraint.min_domains
            least = min(counts.values(), default=0) if is_enough and len(counts) >= domains else 0
            most = least + constraint.max_skew - constraint.selector(pod.labels)
            rules.append((constraint.key, counts, most))

        def check(node: NodeInfo) -> Refusal | None:
            for key, counts, most in rules:
                domain = node.labels.get(key)
                if domain is None:
                    return self._no_label
                if counts.get(domain, 0) > most:
                    return self._skewed
            return None

        return check

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        constraints = self._constraints(pod, snapshot, hard=False)
        if not constraints:
            return None
        keys = tuple(constraint.key for constraint in constraints)
        needs_all = bool(pod.spec.get("topologySpreadConstraints")) or self._defaults is not SYSTEM_DEFAULTS
        of_hosts: list[tuple[Mapping[str, int], int, float]] = []
        of_domains: list[tuple[str, Mapping[str, int], int, float]] = []
        counted = [node for node in nodes if _has_all(node, keys)] if needs_all else nodes
        for constraint in constraints:
            if constraint.key == _HOST:
                weight = math.log(len(counted) + 2)
                of_hosts.append((_tally(pod, constraint, snapshot).nodes, constraint.max_skew - 1, weight))
                continue
            counts, _ = _counts(pod, constraint, keys if needs_all else (), snapshot)
            sizes = {node.labels.get(constraint.key, "") for node in counted}
            of_domains.append((constraint.key, counts, constraint.max_skew - 1, math.log(len(sizes) + 2)))

        def score(node: NodeInfo) -> int:
            labels = node.labels
            if needs_all and not _has_all(node, keys):
                return _IGNORED
            total = 0.0
            for by_node, base, weight in of_hosts:
                if _HOST in labels:
                    total += by_node.get(node.name, 0) * weight + base
            for key, counts, base, weight in of_domains:
                domain = labels.get(key)
                if domain is not None:
                    total += counts.get(domain, 0) * weight + base
            return int(total + 0.5)

        return score

    @staticmethod
    def normalize(scores: Sequence[int]) -> list[int]:
        most = max(scores, default=0)
        least = min((score for score in scores if score != _IGNORED), default=0)
        if most <= 0:
            return [0 if score == _IGNORED else BEST for score in scores]
        both = most + least
        return [0 if score == _IGNORED else BEST * (both - score) // most for score in scores]

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        constraints = self._constraints(pod, snapshot, hard=True)
        if is_node(change):
            return _node_helps(change, constraints)
        return change.kind is POD and _pod_helps(pod, change, constraints)

    def _constraints(self, pod: Pending, snapshot: Snapshot, *, hard: bool) -> list[_Constraint]:
        own = pod.spec.get("topologySpreadConstraints")
        if own:
            return [_own(pod, constraint) for constraint in own if (constraint["whenUnsatisfiable"] == _HARD) is hard]
        wanted = [constraint for constraint in self._defaults if (constraint["whenUnsatisfiable"] == _HARD) is hard]
        if not wanted:
            return []
        selects = _default_selector(pod, snapshot)
        if selects.is_everything:
            return []
        return [
            _Constraint(constraint["topologyKey"], constraint["maxSkew"], selects, 1, True, False)
            for constraint in wanted
        ]


_IGNORED = -1


def _own(pod: Pending, constraint: Object) -> _Constraint:
    selects = selector.from_object(constraint.get("labelSelector"))
    keys = constraint.get("matchLabelKeys") or ()
    added = [Requirement(key, "=", (pod.labels[key],)) for key in keys if key in pod.labels]
    if added and selects is not selector.NOTHING:
        selects = LabelSelector((*selects.requirements, *added))
    return _Constraint(
        constraint["topologyKey"],
        constraint["maxSkew"],
        selects,
        constraint.get("minDomains") or 1,
        constraint.get("nodeAffinityPolicy") != "Ignore",
        constraint.get("nodeTaintsPolicy") == "Honor",
    )


def _default_selector(pod: Pending, snapshot: Snapshot) -> LabelSelector:
    """What the services that select the pod, and its workload, select together."""
    wanted: dict[str, str] = {}
    for selects in _service_selectors(pod.namespace, snapshot):
        if selects.items() <= pod.labels.items():
            wanted |= selects
    owner = pod.owner
    kind = None if owner is None else _OWNERS.get((owner["apiVersion"], owner["kind"]))
    if owner is None or kind is None:
        return selector.from_labels(wanted)
    found = snapshot.view.get(kind, Key(pod.namespace, owner["name"]))
    if found is None:
        return selector.from_labels(wanted)
    if kind is REPLICATION_CONTROLLER:
        return selector.from_labels(wanted | (found["spec"].get("selector") or {}))
    selects_too = selector.from_object(found["spec"].get("selector"))
    if not wanted:
        return selects_too
    return LabelSelector({*selector.from_labels(wanted).requirements, *selects_too.requirements})


def _service_selectors(namespace: str, snapshot: Snapshot) -> list[dict[str, str]]:
    """Read again only after a service of any namespace changed."""
    revision = snapshot.view.table(SERVICE).revision

    def read() -> list[dict[str, str]]:
        services = snapshot.view.select(SERVICE, namespace)
        return [selects for service in services if (selects := service["spec"].get("selector"))]

    return snapshot.remembered(("services", namespace), revision, read)


def _has_all(node: NodeInfo, keys: Sequence[str]) -> bool:
    labels = node.labels
    return all(key in labels for key in keys)


def _counts(
    pod: Pending, constraint: _Constraint, keys: tuple[str, ...], snapshot: Snapshot
) -> tuple[Mapping[str, int], int]:
    """Pods that belong together by domain, without those that have none; and how many domains there are.

    Nodes count that have all `keys` and that the pod's affinity, or its tolerations, allow.
    """
    spec, tally = pod.spec, _tally(pod, constraint, snapshot)
    by_affinity = constraint.honors_affinity and bool(spec.get("nodeSelector") or dig(spec, "affinity", "nodeAffinity"))
    by_taints = constraint.honors_taints
    if not by_affinity and not by_taints and snapshot.all_have(keys):
        return tally.by(constraint.key, snapshot), len(snapshot.domains(constraint.key))

    def takes_part(node: NodeInfo) -> bool:
        if not _has_all(node, keys) or (by_affinity and not allows(spec, node.name, node.labels)):
            return False
        return not by_taints or not node.taints or _is_tolerated(pod, node)

    nodes = snapshot.domains_of(constraint.key, (pod.shape, keys, by_affinity, by_taints), takes_part)
    return tally.among(nodes), len(set(nodes.values()))


def _is_tolerated(pod: Pending, node: NodeInfo) -> bool:
    return first_untolerated(node.taints, pod.tolerations, ("NoSchedule", "NoExecute")) is None


def _tally(pod: Pending, constraint: _Constraint, snapshot: Snapshot) -> Tally:
    selects = constraint.selector

    def matches(other: PodInfo) -> bool:
        return not other.is_terminating and selects(other.labels)

    if selects.is_everything:  # counts nothing upstream
        return snapshot.tally(("spread", None), (), lambda _: False)
    return snapshot.tally(("spread", pod.namespace, selects), (pod.namespace,), matches)


def _node_helps(change: Change, constraints: Sequence[_Constraint]) -> bool:
    keys = [constraint.key for constraint in constraints]
    before, after = (
        None if node is None or not all(key in labels_of(node) for key in keys) else node
        for node in (change.before, change.after)
    )
    if change.before is None or change.after is None:
        return before is not None or after is not None
    if before is None or after is None:
        return before is not after
    was, now = ({key: labels_of(node)[key] for key in keys} for node in (before, after))
    return was != now or dig(before, "spec", "taints") != dig(after, "spec", "taints")


def _pod_helps(pod: Pending, change: Change, constraints: Sequence[_Constraint]) -> bool:
    for other in (change.before, change.after):
        if other is None or other["metadata"]["uid"] == pod.uid:
            continue
        if not holds_node(other) or other["metadata"].get("namespace") != pod.namespace:
            return False
    if is_of(change, pod) and tolerates_otherwise(change, pod):
        return any(constraint.honors_taints for constraint in constraints)
    was, now = (
        [other is not None and constraint.selector(labels_of(other)) for constraint in constraints]
        for other in (change.before, change.after)
    )
    return was != now


PLUGIN = PodTopologySpread()
