"""NodeResourcesFit: a node takes what it has room for; rather the node that has most (or least) left.

Source: upstream `plugins/noderesources/fit.go`, `least_allocated.go`, `most_allocated.go`,
`requested_to_capacity_ratio.go`, `helper/shape_score.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pylet.api.kinds.deviceclass import KIND as CLASS
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig
from pylet.api.resources import is_claimable, is_extended
from pylet.server.scheduler.changes import is_node, is_of, left
from pylet.server.scheduler.decide import BEST, Change, Check, Plugin, Refusal, Score
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.requests import Resources, amounts, pod_requests
from pylet.server.scheduler.snapshot import Snapshot

Fraction = Callable[[int, int], int]
"""From (requested, capacity) to 0…BEST."""

_TOO_MANY = "Too many pods"
_FIRST = ("cpu", "memory", "ephemeral-storage")  # named in this order, before all others


def least_allocated(requested: int, capacity: int) -> int:
    return (capacity - requested) * BEST // capacity if requested <= capacity else 0


def most_allocated(requested: int, capacity: int) -> int:
    return min(requested, capacity) * BEST // capacity


def requested_to_capacity(shape: Sequence[tuple[int, int]]) -> Fraction:
    """`shape` is points of (utilization in %, score 0…10), the way between them straight."""
    points = [(at, score * (BEST // 10)) for at, score in shape]

    def fraction(requested: int, capacity: int) -> int:
        used = 100 if requested > capacity else requested * 100 // capacity
        for index, (at, score) in enumerate(points):
            if used <= at:
                if index == 0:
                    return score
                before, low = points[index - 1]
                return low + int((score - low) * (used - before) / (at - before))
        return points[-1][1]

    return fraction


class NodeResourcesFit(Plugin):
    name = "NodeResourcesFit"
    is_local = True

    def __init__(
        self,
        fraction: Fraction = least_allocated,
        weights: Mapping[str, int] | None = None,
        *,
        skips_zero: bool = False,
        ignored: frozenset[str] = frozenset(),
        ignored_groups: frozenset[str] = frozenset(),
    ) -> None:
        """`skips_zero`: resources that score nothing do not count in the mean, as RequestedToCapacityRatio has it."""
        self._fraction = fraction
        self._weights = weights or {"cpu": 1, "memory": 1}
        self._skips_zero = skips_zero
        self._ignored = ignored
        self._ignored_groups = ignored_groups

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check:
        wanted, classes = self._wanted(pod), _classes(pod, snapshot)

        def check(node: NodeInfo) -> Refusal | None:
            room, used = node.allocatable, node.requested
            short, is_final = (_TOO_MANY,) if len(node.pods) >= room.get("pods", 0) else (), False
            for name, amount in wanted:
                capacity = room.get(name, 0)
                if not capacity and name in classes:
                    continue  # it is claimed there
                if amount > capacity - used.get(name, 0):
                    short = (*short, f"Insufficient {name}")
                    is_final = is_final or amount > capacity
            return Refusal(self.name, short, is_final) if short else None

        return check

    def _wanted(self, pod: Pending) -> list[tuple[str, int]]:
        asked = pod.requests
        names = [*(name for name in _FIRST if name in asked), *(name for name in asked if name not in _FIRST)]
        return [(name, asked[name]) for name in names if asked[name] and not self._ignores(name)]

    def _ignores(self, name: str) -> bool:
        if not (self._ignored or self._ignored_groups) or not is_extended(name):
            return False
        return name in self._ignored or name.partition("/")[0] in self._ignored_groups

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score:
        asked = [
            (name, pod.scored.get(name, 0), weight)
            for name, weight in self._weights.items()
            if name in _FIRST or pod.scored.get(name)
        ]

        def score(node: NodeInfo) -> int:
            total = of = 0
            for name, amount, weight in asked:
                capacity = node.allocatable.get(name, 0)
                if not capacity:
                    continue
                points = self._fraction(node.scored.get(name, 0) + amount, capacity)
                if points or not self._skips_zero:
                    total += points * weight
                    of += weight
            if self._skips_zero:
                return int(total / of + 0.5) if of else 0
            return total // of if of else 0

        return score

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if is_node(change):
            return change.after is not None and self._node_helps(pod, change.before, change.after)
        if change.kind is CLASS:
            return change.after is not None and bool(_classes(pod, snapshot))
        if change.kind is not POD or change.before is None:
            return False
        if change.after is None:
            return left(change) is not None
        if not is_of(change, pod) and not change.after["spec"].get("nodeName"):
            return False
        was, now = pod_requests(change.before), pod_requests(change.after)
        return any(was.get(name, 0) > now.get(name, 0) for name, amount in pod.requests.items() if amount)

    def _node_helps(self, pod: Pending, before: Object | None, after: Object) -> bool:
        """A node that would hold the pod were it empty, and is new or has more of what the pod asks for."""
        room = _allocatable(after)
        if room.get("pods", 0) < 1 or any(amount > room.get(name, 0) for name, amount in self._wanted(pod)):
            return False
        if before is None:
            return True
        was = _allocatable(before)
        return any(room.get(name, 0) > was.get(name, 0) for name in ("pods", *dict(self._wanted(pod))))


def _classes(pod: Pending, snapshot: Snapshot) -> Mapping[str, str]:
    """Of extended resources that devices stand in for."""
    if not any(map(is_claimable, pod.requests)):
        return {}
    from pylet.server.scheduler.devices.extended import classes

    return classes(pod, snapshot.view)


def _allocatable(node: Object) -> Resources:
    return amounts(dig(node, "status", "allocatable"))


PLUGIN = NodeResourcesFit()
