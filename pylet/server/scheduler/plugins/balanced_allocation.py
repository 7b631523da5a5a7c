"""NodeResourcesBalancedAllocation: rather a node whose resources the pod would make more alike in their use.

Source: upstream `plugins/noderesources/balanced_allocation.go`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from pylet.server.scheduler.decide import BEST, Plugin, Score
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

_STANDARD = ("cpu", "memory", "ephemeral-storage")


class BalancedAllocation(Plugin):
    name = "NodeResourcesBalancedAllocation"
    is_local = True

    def __init__(self, resources: Sequence[str] = ("cpu", "memory")) -> None:
        self._resources = resources

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        asked = [(name, pod.requests.get(name, 0)) for name in self._resources]
        if not any(amount for _, amount in asked):
            return None  # upstream skips best-effort pods: they would all land on one node
        asked = [(name, amount) for name, amount in asked if amount or name in _STANDARD]
        if len(asked) == 2:
            return _of_two(*asked)

        def score(node: NodeInfo) -> int:
            before, after = [], []
            for name, amount in asked:
                room = node.allocatable.get(name, 0)
                if room:
                    used = node.requested.get(name, 0)
                    before.append(min(1.0, used / room))
                    after.append(min(1.0, (used + amount) / room))
            # As Go divides: towards zero; the sum is never negative.
            return BEST // 2 + (BEST // 2 + _balance(after) - _balance(before)) // 2

        return score


def _of_two(one: tuple[str, int], other: tuple[str, int]) -> Score:
    """The same for cpu and memory alone, which it nearly always is: a third of the time, and nodes are many."""
    (name, amount), (name2, amount2) = one, other

    def score(node: NodeInfo) -> int:
        room, used = node.allocatable, node.requested
        all_, all2 = room.get(name, 0), room.get(name2, 0)
        if not all_ or not all2:
            return BEST // 2 + BEST // 4
        taken, taken2 = used.get(name, 0), used.get(name2, 0)
        before, before2 = taken / all_, taken2 / all2
        after, after2 = (taken + amount) / all_, (taken2 + amount2) / all2
        was = abs((before if before < 1 else 1.0) - (before2 if before2 < 1 else 1.0)) / 2
        now = abs((after if after < 1 else 1.0) - (after2 if after2 < 1 else 1.0)) / 2
        return BEST // 2 + (BEST // 2 + int((1 - now) * BEST) - int((1 - was) * BEST)) // 2

    return score


def _balance(fractions: Sequence[float]) -> int:
    if len(fractions) == 2:
        deviation = abs(fractions[0] - fractions[1]) / 2
    elif len(fractions) > 2:
        mean = sum(fractions) / len(fractions)
        deviation = math.sqrt(sum((fraction - mean) ** 2 for fraction in fractions) / len(fractions))
    else:
        deviation = 0.0
    return int((1 - deviation) * BEST)


PLUGIN = BalancedAllocation()
