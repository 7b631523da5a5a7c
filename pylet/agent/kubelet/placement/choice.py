"""Which CPUs a container gets to itself: whole NUMA nodes, sockets and cores as far as it goes, then single CPUs. Pure.

What has the fewest free CPUs is used up first. Source: upstream `pkg/kubelet/cm/cpumanager/cpu_assignment.go`
(takeByTopologyNUMAPacked).
"""

from __future__ import annotations

from collections.abc import Callable

from pylet.agent.kubelet.placement.layout import Cpus, Layout
from pylet.agent.kubelet.provided import CannotProvide


def packed(layout: Layout, available: Cpus, count: int, *, by_cache: bool = False) -> Cpus:
    """Raises: CannotProvide."""
    taking = Taking(layout, available, count)
    if count > len(available):
        words = f"not enough cpus available to satisfy request: requested={count}, available={len(available)}"
        raise CannotProvide(words)
    for level in taking.levels:
        taking.take_whole(level)
    if by_cache:
        taking.take_by_cache()
    taking.take_whole("core")
    taking.take_single()
    return frozenset(taking.taken)


class Taking:
    """CPUs being taken: `free` are left, `needed` are missing."""

    def __init__(self, layout: Layout, available: Cpus, count: int) -> None:
        self.layout = layout
        self.free = set(available)
        self.needed = count
        self.taken: set[int] = set()
        is_numa_above = len(layout.ids("socket")) >= len(layout.ids("numa"))
        self.levels = ("numa", "socket") if is_numa_above else ("socket", "numa")

    def ordered(self, level: str) -> list[int]:
        """Those with free CPUs, level below level: the fuller before the emptier."""
        groups, ids = [frozenset(self.free)], []
        for each in self._path(level):
            within = [
                (id_, group)
                for group in groups
                for id_ in sorted(self.layout.ids(each, group), key=self._fullness(each))
            ]
            ids = [id_ for id_, _ in within]
            groups = [self.layout.inside(each, (id_,), group) for id_, group in within]
        return ids

    def _path(self, level: str) -> tuple[str, ...]:
        """The levels above it, and itself."""
        last = "numa" if level == "cache" else self.levels[-1] if level == "core" else level
        above = self.levels[: self.levels.index(last) + 1]
        return above if level in above else (*above, level)

    def take(self, cpus: Cpus) -> None:
        self.taken |= cpus
        self.free -= cpus
        self.needed -= len(cpus)

    def take_whole(self, level: str) -> None:
        for id_ in self.ordered(level):
            whole = self.layout.inside(level, (id_,))
            if whole <= self.free and self.needed >= len(whole):
                self.take(whole)

    def take_by_cache(self) -> None:
        """Whole caches, then what fits into one."""
        size = len(self.layout.by_id) // len(self.layout.ids("cache"))
        for cache in self.ordered("cache"):
            if self.needed >= size:
                self.take_whole("cache")
            if self.needed:
                self._take_of_cache(cache)

    def _take_of_cache(self, cache: int) -> None:
        threads = self.layout.cpus_per_core
        free = self.layout.inside("cache", (cache,), self.free)
        cores = sorted(self.layout.ids("core", free))[: -(-self.needed // threads)]
        cpus = sorted(self.layout.inside("core", cores, free))
        if self.needed % 2 and threads > 1 and len(cpus) > self.needed:
            cpus = cpus[:-1]
        if len(cpus) == self.needed:
            self.take(frozenset(cpus))

    def take_single(self) -> None:
        for core in self.ordered("core"):
            for cpu in sorted(self.layout.inside("core", (core,), self.free))[: self.needed]:
                self.take(frozenset((cpu,)))

    def _fullness(self, level: str) -> Callable[[int], tuple[int, int]]:
        sizes: dict[int, int] = {}
        for cpu in self.free:
            id_ = self.layout.by_id[cpu].within(level)
            sizes[id_] = sizes.get(id_, 0) + 1
        return lambda id_: (sizes[id_], id_)
