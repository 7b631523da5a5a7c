"""The same number of CPUs from each of several NUMA nodes, where one has too few. Pure.

Where they cannot be shared out evenly, the nodes are left as evenly free as can be. Source: upstream
`pkg/kubelet/cm/cpumanager/cpu_assignment.go` (takeByTopologyNUMADistributed), KEP-2902.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from statistics import fmean
from typing import TypeAlias

from pylet.agent.kubelet.placement.choice import Taking, packed
from pylet.agent.kubelet.placement.layout import Cpus, Layout

_Sharing: TypeAlias = tuple[float, int, Sequence[int], Sequence[int]]
"""How uneven it leaves the nodes, its place, the nodes, and those of them that give one group more."""


def spread(layout: Layout, available: Cpus, count: int, group: int = 1) -> Cpus:
    """CPUs go in groups of `group`. Raises: CannotProvide."""
    if 0 < count <= len(available) and count % group == 0:
        taking = Taking(layout, available, count)
        nodes = taking.ordered("numa")
        free = {node: len(layout.inside("numa", (node,), available)) for node in nodes}
        for size in _sizes(layout, len(nodes), count, group):
            if best := min(_sharings(free, size, count, group), default=None):
                return _shared(taking, best, size, group)
    return packed(layout, available, count)


def _sizes(layout: Layout, nodes: int, count: int, group: int) -> range:
    """How many nodes it may take."""
    groups = -(-len(layout.by_id) // group)
    each = -(-groups // len(layout.ids("numa")))
    needed = -(-count // group)
    return range(-(-needed // each), min(needed, nodes) + 1)


def _sharings(free: Mapping[int, int], size: int, count: int, group: int) -> Iterator[_Sharing]:
    each = count // size // group * group
    for place, nodes in enumerate(itertools.combinations(free, size)):
        has_enough = sum(free[node] // group * group for node in nodes) >= count
        if has_enough and all(free[node] >= each for node in nodes):
            left = {**free, **{node: free[node] - each for node in nodes}}
            rests = _rests(left, [node for node in nodes if left[node] >= group], count - each * size, group)
            if best := min(rests, default=None):
                yield best[0], place, nodes, best[2]


def _rests(
    left: Mapping[int, int], nodes: Sequence[int], rest: int, group: int
) -> Iterator[tuple[float, int, Sequence[int]]]:
    """From which nodes the `rest` could come; of many rather than of few."""
    if not rest:
        yield _unevenness(left), 0, ()
        return
    sizes = range(len(nodes), 0, -1)
    for place, subset in enumerate(itertools.chain.from_iterable(itertools.combinations(nodes, n) for n in sizes)):
        after, missing = dict(left), rest
        while missing and (able := [node for node in subset if after[node] >= group]):
            for node in able[: missing // group]:
                after[node] -= group
                missing -= group
        if not missing:
            yield _unevenness(after), place, subset


def _shared(taking: Taking, sharing: _Sharing, size: int, group: int) -> Cpus:
    _, _, nodes, extra = sharing
    each = taking.needed // size // group * group
    for node in nodes:
        _take(taking, node, each)
    while taking.needed:
        for node in extra:
            if taking.needed and len(taking.layout.inside("numa", (node,), taking.free)) >= group:
                _take(taking, node, group)
    return frozenset(taking.taken)


def _take(taking: Taking, node: int, count: int) -> None:
    taking.take(packed(taking.layout, taking.layout.inside("numa", (node,), taking.free), count))


def _unevenness(free: Mapping[int, int]) -> float:
    """The standard deviation, to three digits."""
    mean = round(fmean(free.values()), 3)
    return round(math.sqrt(fmean((count - mean) ** 2 for count in free.values())), 3)
