"""Pod affinity terms: which pods they speak of, and in which topology. Pure.

Source: upstream `kube-scheduler/framework/types.go` (AffinityTerm); for `matchLabelKeys`
`registry/core/pod/strategy.go`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple

from pylet.api import selector
from pylet.api.object import Object, dig, labels_of
from pylet.api.selector import NOTHING, LabelSelector, Requirement

Labels = Mapping[str, str]
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


class Term(NamedTuple):
    """`namespaces` and those `namespace_selector` selects; NOTHING selects none, an empty one all."""

    namespaces: frozenset[str]
    namespace_selector: LabelSelector
    selector: LabelSelector
    topology_key: str

    def matches(self, namespace: str, namespace_labels: Labels, labels: Labels) -> bool:
        if namespace not in self.namespaces and not self.namespace_selector(namespace_labels):
            return False
        return self.selector(labels)


class Weighted(NamedTuple):
    term: Term
    weight: int


class Affinity(NamedTuple):
    """What a pod asks of its neighbours; `preferred` holds anti-affinity with negative weights."""

    required: tuple[Term, ...] = ()
    anti: tuple[Term, ...] = ()
    preferred: tuple[Weighted, ...] = ()


NONE = Affinity()


def affinity_of(pod: Object) -> Affinity:
    spec, namespace, labels = pod["spec"], pod["metadata"].get("namespace", ""), labels_of(pod)
    affinity = spec.get("affinity")
    if not affinity:
        return NONE
    near, apart = affinity.get("podAffinity"), affinity.get("podAntiAffinity")
    if not near and not apart:
        return NONE
    found = Affinity(
        _terms(dig(near, _REQUIRED), namespace, labels),
        _terms(dig(apart, _REQUIRED), namespace, labels),
        _weighted(dig(near, _PREFERRED), namespace, labels, 1)
        + _weighted(dig(apart, _PREFERRED), namespace, labels, -1),
    )
    return _shared(found)


@lru_cache(maxsize=1024)
def _shared(affinity: Affinity) -> Affinity:
    return affinity


def _terms(terms: list[Object] | None, namespace: str, labels: Labels) -> tuple[Term, ...]:
    return tuple(_term(term, namespace, labels) for term in terms or ())


def _weighted(terms: list[Object] | None, namespace: str, labels: Labels, sign: int) -> tuple[Weighted, ...]:
    wishes = terms or ()
    return tuple(Weighted(_term(wish["podAffinityTerm"], namespace, labels), sign * wish["weight"]) for wish in wishes)


def _term(term: Object, namespace: str, labels: Labels) -> Term:
    named, of_namespaces = term.get("namespaces") or (), term.get("namespaceSelector")
    selects = selector.from_object(term.get("labelSelector"))
    added = [
        Requirement(key, operator, (labels[key],))
        for field, operator in (("matchLabelKeys", "in"), ("mismatchLabelKeys", "notin"))
        for key in term.get(field) or ()
        if key in labels
    ]
    return Term(
        frozenset(named) if named or of_namespaces is not None else frozenset((namespace,)),
        NOTHING if of_namespaces is None else selector.from_object(of_namespaces),
        LabelSelector({*selects.requirements, *added}) if added and selects is not NOTHING else selects,
        term["topologyKey"],
    )
