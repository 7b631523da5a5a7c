"""`matchLabelKeys` and `mismatchLabelKeys` become part of the selectors beside them when a pod is created. Pure.

Source: pkg/registry/core/pod/strategy.go (mutatePodAffinity, mutateTopologySpreadConstraints).
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.object import Object, labels_of

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def merge(pod: Object) -> None:
    """Keys the pod has no label for say nothing; where no selector is, nothing is selected anyway."""
    spec, labels = pod["spec"], labels_of(pod)
    for holder in (*_terms(spec.get("affinity") or {}), *(spec.get("topologySpreadConstraints") or ())):
        if (selector := holder.get("labelSelector")) is None:
            continue
        for field, operator in (("matchLabelKeys", "In"), ("mismatchLabelKeys", "NotIn")):
            for key in holder.get(field) or ():
                if key in labels:
                    wanted = {"key": key, "operator": operator, "values": [labels[key]]}
                    selector["matchExpressions"] = [*(selector.get("matchExpressions") or ()), wanted]


def _terms(affinity: Object) -> Iterator[Object]:
    for sort in ("podAffinity", "podAntiAffinity"):
        found = affinity.get(sort) or {}
        yield from found.get(_REQUIRED) or ()
        for weighted in found.get(_PREFERRED) or ():
            yield weighted.get("podAffinityTerm") or {}
