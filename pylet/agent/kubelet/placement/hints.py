"""Near which NUMA nodes a container is to be, agreed on by those who give it CPUs, memory and devices. Pure.

Source: upstream `pkg/kubelet/cm/topologymanager`.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias, TypeVar

Nodes: TypeAlias = frozenset[int]
Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Hint:
    """What is asked for could come from these nodes; None is from wherever."""

    nodes: Nodes | None
    preferred: bool


ANYWHERE = Hint(None, preferred=True)
Hints: TypeAlias = Mapping[str, Sequence[Hint] | None]
"""By resource what is possible: nothing at all where it is empty, all where it is None."""


@dataclass(frozen=True, slots=True)
class Policy:
    """`name` is best-effort, restricted or single-numa-node; `distances` by node, where the closest are preferred."""

    name: str
    nodes: Nodes
    distances: Mapping[int, Sequence[int]] | None = None

    def agree(self, providers: Iterable[Hints]) -> tuple[Hint, bool]:
        """The best for all, and whether it will do."""
        wishes = [wish for hints in providers for wish in _wishes(hints)]
        if self.name == "single-numa-node":
            wishes = [[h for h in wish if h.preferred and (h.nodes is None or len(h.nodes) == 1)] for wish in wishes]
        best = self._best(wishes)
        if self.name == "single-numa-node" and best.nodes == self.nodes:
            best = Hint(None, best.preferred)
        return best, self.name == "best-effort" or best.preferred

    def _best(self, wishes: Sequence[Sequence[Hint]]) -> Hint:
        narrowest = [min((h.nodes for h in wish if h.nodes is not None), key=narrowness, default=()) for wish in wishes]
        enough = max(map(len, narrowest), default=0)
        best: Hint | None = None
        for combination in itertools.product(*wishes):
            merged = self._merged(combination)
            if merged.nodes:
                best = merged if best is None or self._is_better(merged, best, enough) else best
        return best or Hint(self.nodes, preferred=False)

    def _merged(self, hints: Sequence[Hint]) -> Hint:
        nodes = [hint.nodes for hint in hints if hint.nodes is not None]
        preferred = all(hint.preferred for hint in hints) and len(set(nodes)) <= 1
        return Hint(reduce(frozenset.intersection, nodes, self.nodes), preferred)

    def _is_better(self, hint: Hint, than: Hint, enough: int) -> bool:
        """`enough` nodes are what whoever needs the most can do with."""
        assert hint.nodes is not None
        assert than.nodes is not None
        if hint.preferred != than.preferred:
            return hint.preferred
        count, best = len(hint.nodes), len(than.nodes)
        if hint.preferred or best > enough or count == best:
            return self._fitness(hint.nodes) < self._fitness(than.nodes)
        return best < count <= enough

    def _fitness(self, nodes: Nodes) -> tuple[int, float, int]:
        count, bits = narrowness(nodes)
        if self.distances is None or self.name == "single-numa-node":
            return count, 0.0, bits
        between = [self.distances[one][other] for one in nodes for other in nodes]
        return count, sum(between) / len(between), bits


def _wishes(hints: Hints) -> Iterable[Sequence[Hint]]:
    if not hints:
        yield (ANYWHERE,)
    for possible in hints.values():
        yield (ANYWHERE,) if possible is None else possible or (Hint(None, preferred=False),)


def narrowness(nodes: Collection[int]) -> tuple[int, int]:
    """Fewer are narrower, then the lower."""
    return len(nodes), sum(1 << node for node in nodes)


def hints_for(
    count: int,
    nodes: Iterable[int],
    near: Mapping[Item, Collection[int]],
    free: Iterable[Item],
    reused: Collection[Item] = (),
) -> list[Hint]:
    """From which nodes `count` things could come: `near` says where each is, those `reused` have to be among them."""
    free, all_nodes = list(free), sorted(nodes)
    least = len(all_nodes)
    found: list[Nodes] = []
    for mask in subsets(all_nodes):
        if sum(not mask.isdisjoint(its) for its in near.values()) >= count:
            least = min(least, len(mask))
        placed = [near[item] for item in reused if near[item]]
        if any(mask.isdisjoint(its) for its in placed):
            continue
        if len(placed) + sum(not mask.isdisjoint(near[item]) for item in free) >= count:
            found.append(mask)
    return [Hint(mask, preferred=len(mask) == least) for mask in found]


def subsets(nodes: Sequence[int]) -> Iterable[Nodes]:
    """All but the empty one, the smaller first."""
    for size in range(1, len(nodes) + 1):
        yield from map(frozenset, itertools.combinations(nodes, size))
