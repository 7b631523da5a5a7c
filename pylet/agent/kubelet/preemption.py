"""Which pods have to go for a critical pod that the node has no room for. Pure.

As few as possible, and of those that were promised least: besteffort before burstable before guaranteed.
Source: upstream `pkg/kubelet/preemption/preemption.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from pylet.agent.kubelet.eviction import is_critical
from pylet.agent.kubelet.spec import qos_class
from pylet.agent.kubelet.stopping import Ending
from pylet.api import podresources
from pylet.api.object import Object

PREEMPTED = Ending(
    "Preempting",
    "Preempted in order to admit critical pod",
    disruption="Pod was preempted by Kubelet to accommodate a critical pod.",
)
_Needs: TypeAlias = dict[str, int]


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a pod asks for and cannot have; cpu in thousandths, everything else in ones."""

    resource: str
    requested: int
    used: int
    capacity: int

    def __str__(self) -> str:
        return (
            f"Node didn't have enough resource: {self.resource}, "
            f"requested: {self.requested}, used: {self.used}, capacity: {self.capacity}"
        )


class NoVictims(Exception):
    """Not even without all of them would there be room; the message says what is missing, as upstream does."""


def victims(pod: Object, others: Iterable[Object], shortages: Iterable[Shortage]) -> list[Object]:
    """Those of `others` that make room for the critical `pod`. Raises: NoVictims."""
    needs = {short.resource: short.requested - (short.capacity - short.used) for short in shortages}
    tiers: dict[str, list[Object]] = {"BestEffort": [], "Burstable": [], "Guaranteed": []}
    for other in others:
        if _may_go(pod, other):
            tiers[qos_class(other)].append(other)
    effort, burst, guaranteed = tiers.values()
    _insist(_left(needs, (*effort, *burst, *guaranteed)))
    third = _nearest(guaranteed, _left(needs, (*effort, *burst)))
    second = _nearest(burst, _left(needs, (*effort, *third)))
    first = _nearest(effort, _left(needs, (*second, *third)))
    return [*first, *second, *third]


def _may_go(pod: Object, other: Object) -> bool:
    if is_critical(pod) and not is_critical(other):
        return True
    ours, theirs = pod["spec"].get("priority"), other["spec"].get("priority")
    return ours is not None and theirs is not None and ours > theirs


def _nearest(candidates: Sequence[Object], needs: _Needs) -> list[Object]:
    """Again and again the pod that gives most of what is needed; among equals the one that asks for less."""
    left, chosen = list(candidates), list[Object]()
    while needs:
        if not left:
            _insist(needs)
        best = min(left, key=lambda pod: (_distance(needs, pod), asked(pod, "memory"), asked(pod, "cpu")))
        left.remove(best)
        chosen.append(best)
        needs = _left(needs, (best,))
    return chosen


def _distance(needs: _Needs, pod: Object) -> float:
    """From 0, where the pod has it all; each resource weighs the same."""
    return sum((max(0, amount - asked(pod, name)) / amount) ** 2 for name, amount in needs.items())


def _left(needs: _Needs, gone: Sequence[Object]) -> _Needs:
    left = {name: amount - sum(asked(pod, name) for pod in gone) for name, amount in needs.items()}
    return {name: amount for name, amount in left.items() if amount > 0}


def _insist(needs: _Needs) -> None:
    if needs:
        words = "".join(f"(res: {name}, q: {amount}), " for name, amount in needs.items())
        raise NoVictims(f"no set of running pods found to reclaim resources: [{words}]")


def asked(pod: Object, resource: str) -> int:
    """Of one resource, in the units of a Shortage."""
    if resource == "pods":
        return 1
    found = podresources.requests(pod, is_live=True).get(resource)
    return 0 if found is None else in_units(resource, found.nanos)


def in_units(resource: str, nanos: int) -> int:
    return nanos // (1_000_000 if resource == "cpu" else 1_000_000_000)
