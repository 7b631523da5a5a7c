"""How the machine's CPUs and memory lie to each other. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Cpus: TypeAlias = frozenset[int]


class Inconsistent(ValueError):
    """Settings, or what is remembered, do not fit the machine."""


@dataclass(frozen=True, slots=True)
class Cpu:
    """A logical CPU. `core` is the lowest of the CPUs it shares a core with, `cache` the last cache it shares."""

    id: int
    core: int
    socket: int
    numa: int
    cache: int

    def within(self, level: str) -> int:
        """Its core, socket, numa node or cache."""
        found: int = getattr(self, level)
        return found


@dataclass(frozen=True, slots=True)
class Layout:
    """`memory` is in bytes by kind (memory, hugepages-…) of each NUMA node, `distances` as the firmware says them."""

    by_id: Mapping[int, Cpu]
    memory: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    distances: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    @property
    def cpus(self) -> Cpus:
        return frozenset(self.by_id)

    @property
    def numa_nodes(self) -> list[int]:
        return sorted(self.ids("numa") | self.memory.keys())

    def ids(self, level: str, among: Iterable[int] | None = None) -> set[int]:
        """The cores, sockets, … that these CPUs, or all, are in."""
        return {self.by_id[cpu].within(level) for cpu in (self.by_id if among is None else among)}

    def inside(self, level: str, ids: Collection[int], among: Iterable[int] | None = None) -> Cpus:
        """Those of these CPUs, or of all, that are in one of these cores, sockets, …"""
        return frozenset(c for c in (self.by_id if among is None else among) if self.by_id[c].within(level) in ids)

    @property
    def cpus_per_core(self) -> int:
        return len(self.by_id) // (len(self.ids("core")) or 1)


def format_cpus(cpus: Iterable[int]) -> str:
    """As the kernel writes a list: `0-3,8`."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and parts[-1][-1] == cpu - 1:
            parts[-1] = [parts[-1][0], cpu]
        else:
            parts.append([cpu])
    return ",".join("-".join(map(str, part)) for part in parts)


def parse_cpus(text: str) -> Cpus:
    """Raises: ValueError."""
    found: set[int] = set()
    for part in text.strip().split(",") if text.strip() else ():
        first, _, last = part.partition("-")
        if last and int(last) < int(first):
            raise ValueError(f'invalid list of CPUs "{text}"')
        found.update(range(int(first), int(last or first) + 1))
    return frozenset(found)
