"""InterPodAffinity: pods near pods and apart from pods, by what either of them asks.

What is asked is the same for all pods of a workload, so terms are counted, not pods: the snapshot keeps for each term
how many pods of each node ask it, and for each set of pods a term speaks of how many there are.

Source: upstream `plugins/interpodaffinity`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, key_of, labels_of
from pylet.api.selector import NOTHING
from pylet.server.scheduler.changes import holds_node, is_node, is_of, label
from pylet.server.scheduler.decide import BEST, Change, Check, Plugin, Refusal, Score
from pylet.server.scheduler.model import NodeInfo, Pending, PodInfo
from pylet.server.scheduler.snapshot import Snapshot, Tally
from pylet.server.scheduler.terms import Term, affinity_of

Counts = Mapping[str, int]


class InterPodAffinity(Plugin):
    name = "InterPodAffinity"
    minds_arrivals = True
    _far = Refusal(name, ("node(s) didn't match pod affinity rules",), is_final=True)
    _near = Refusal(name, ("node(s) didn't match pod anti-affinity rules",))
    _unwanted = Refusal(name, ("node(s) didn't satisfy existing pods anti-affinity rules",))

    def __init__(self, *, hard_weight: int = 1, ignores_preferred_of_others: bool = False) -> None:
        self._hard_weight = hard_weight
        self._ignores_others = ignores_preferred_of_others

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | None:
        against = _against(pod, snapshot)
        wanted, shunned = pod.affinity.required, pod.affinity.anti
        if not against and not wanted and not shunned:
            return None
        together = _tally(wanted, snapshot) if wanted else None
        near = [(term.topology_key, together.by(term.topology_key, snapshot)) for term in wanted] if together else []
        is_first = not any(counts for _, counts in near) and _matches_all(wanted, pod, snapshot)
        apart = [(term.topology_key, _tally((term,), snapshot).by(term.topology_key, snapshot)) for term in shunned]

        def check(node: NodeInfo) -> Refusal | None:
            labels = node.labels
            for key, counts in near:
                domain = labels.get(key)
                if domain is None or (domain not in counts and not is_first):
                    return self._far
            for key, counts in apart:
                domain = labels.get(key)
                if domain is not None and domain in counts:
                    return self._near
            for key, counts in against:
                domain = labels.get(key)
                if domain is not None and domain in counts:
                    return self._unwanted
            return None

        return check

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        own = pod.affinity.preferred
        if not own and (self._ignores_others or not (snapshot.preferred or (snapshot.required and self._hard_weight))):
            return None
        points: dict[str, dict[str, int]] = {}
        for wish in own:
            counts = _tally((wish.term,), snapshot).by(wish.term.topology_key, snapshot)
            _collect(points, wish.term.topology_key, counts, wish.weight)
        namespace_labels = snapshot.namespace_labels(pod.namespace)
        for wish, tally in snapshot.preferred.items():
            if wish.term.matches(pod.namespace, namespace_labels, pod.labels):
                counts = tally.by(wish.term.topology_key, snapshot)
                _collect(points, wish.term.topology_key, counts, wish.weight)
        if self._hard_weight:
            for term, tally in snapshot.required.items():
                if term.matches(pod.namespace, namespace_labels, pod.labels):
                    counts = tally.by(term.topology_key, snapshot)
                    _collect(points, term.topology_key, counts, self._hard_weight)
        if not points:
            return None
        rows = list(points.items())
        return lambda node: sum(row.get(node.labels.get(key, ""), 0) for key, row in rows)

    @staticmethod
    def normalize(scores: Sequence[int]) -> list[int]:
        least, most = min(scores), max(scores)
        span = most - least
        return [int(BEST * ((score - least) / span)) for score in scores] if span else [0] * len(scores)

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if is_node(change):
            return _node_helps(pod, change)
        return change.kind is POD and _pod_helps(pod, change, snapshot)


def _against(pod: Pending, snapshot: Snapshot) -> list[tuple[str, Counts]]:
    """Where pods are that want to be apart from this one."""
    if not snapshot.anti:
        return []
    namespace_labels = snapshot.namespace_labels(pod.namespace)
    return [
        (term.topology_key, tally.by(term.topology_key, snapshot))
        for term, tally in snapshot.anti.items()
        if term.matches(pod.namespace, namespace_labels, pod.labels)
    ]


def _tally(terms: Sequence[Term], snapshot: Snapshot) -> Tally:
    """Counts of the pods that all terms speak of."""
    speaks = [(_namespaces(term, snapshot), term.selector) for term in terms]

    def matches(other: PodInfo) -> bool:
        for namespaces, selects in speaks:
            if not selects(other.labels) or (namespaces is not None and other.namespace not in namespaces):
                return False
        return True

    return snapshot.tally(("affinity", *speaks), speaks[0][0], matches)


def _namespaces(term: Term, snapshot: Snapshot) -> frozenset[str] | None:
    """Those the term speaks of; None for all."""
    if term.namespace_selector is NOTHING:
        return term.namespaces
    if term.namespace_selector.is_everything:
        return None
    return term.namespaces.union(snapshot.namespaces(term.namespace_selector))


def _matches_all(terms: Sequence[Term], pod: PodInfo, snapshot: Snapshot) -> bool:
    return bool(terms) and all(_speaks_of(term, pod.namespace, pod.labels, snapshot) for term in terms)


def _speaks_of(term: Term, namespace: str, labels: Mapping[str, str], snapshot: Snapshot) -> bool:
    return term.matches(namespace, snapshot.namespace_labels(namespace), labels)


def _collect(points: dict[str, dict[str, int]], key: str, counts: Counts, weight: int) -> None:
    if counts:
        row = points.setdefault(key, {})
        for domain, count in counts.items():
            row[domain] = row.get(domain, 0) + count * weight


def _node_helps(pod: Pending, change: Change) -> bool:
    if change.after is None:
        return False
    for term in pod.affinity.required:
        was, now = label(change.before, term.topology_key), label(change.after, term.topology_key)
        if now is not None and was != now:
            return True
    for term in pod.affinity.anti:
        was, now = label(change.before, term.topology_key), label(change.after, term.topology_key)
        if change.before is None or (was is not None and was != now):
            return True
    return False


def _pod_helps(pod: Pending, change: Change, snapshot: Snapshot) -> bool:
    if is_of(change, pod):
        return True
    if any(other is not None and not holds_node(other) for other in (change.before, change.after)):
        return False

    def all_speak_of(terms: Sequence[Term], other: Object | None) -> bool:
        if other is None or not terms:
            return False
        namespace = key_of(other).namespace
        return all(_speaks_of(term, namespace, labels_of(other), snapshot) for term in terms)

    before, after = change.before, change.after
    wanted, shunned = pod.affinity.required, pod.affinity.anti
    if after is not None:
        if all_speak_of(wanted, after) and not all_speak_of(wanted, before):
            return True
        return all_speak_of(shunned, before) and not all_speak_of(shunned, after)
    assert before is not None
    theirs = affinity_of(before).anti
    return all_speak_of(shunned, before) or _matches_all(theirs, pod, snapshot)


PLUGIN = InterPodAffinity()
