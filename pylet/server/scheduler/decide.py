"""Where a pod goes, or why it cannot go anywhere: plugins filter and score, this adds up. Pure.

Source: upstream `pkg/scheduler/schedule_one.go`, FitError of `framework/types.go` for the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from pylet.server.scheduler.model import NodeInfo, PodInfo, Snapshot

BEST = 100
"""The highest score a plugin gives a node."""

Check: TypeAlias = Callable[[NodeInfo], Sequence[str]]
"""Why a node will not do, in upstream's words; empty when it will."""


class Plugin(Protocol):
    name: str

    def filter(self, pod: PodInfo, snapshot: Snapshot) -> Check | None:
        """A check made for this pod; None when the plugin has nothing to say of it."""
        ...

    def score(self, pod: PodInfo, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Sequence[int] | None:
        """0 to BEST for each node; None when it makes no difference."""
        ...


Profile: TypeAlias = Sequence[tuple[Plugin, int]]
"""Plugins in the order they are asked, each with its weight."""


@dataclass(frozen=True, slots=True)
class Placement:
    node: str


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """`reasons` counts nodes by why they were refused; `refused_by` names the plugins that did."""

    message: str
    reasons: Counter[str]
    refused_by: frozenset[str]


def decide(pod: PodInfo, snapshot: Snapshot, profile: Profile, start: int = 0) -> Placement | Unschedulable:
    """`start` rotates the nodes, so that sampling a large cluster does not always begin with the same."""
    checks = [(plugin.name, check) for plugin, _ in profile if (check := plugin.filter(pod, snapshot)) is not None]
    nodes = list(snapshot.nodes.values())
    if nodes:
        start %= len(nodes)
        nodes = nodes[start:] + nodes[:start]
    enough = _feasible_enough(len(nodes))
    feasible: list[NodeInfo] = []
    reasons: Counter[str] = Counter()
    refused_by: set[str] = set()
    for node in nodes:
        for name, check in checks:
            if why := check(node):
                reasons.update(why)
                refused_by.add(name)
                break
        else:
            feasible.append(node)
            if len(feasible) >= enough:
                break
    if not feasible:
        return Unschedulable(_words(len(nodes), reasons), reasons, frozenset(refused_by))
    if len(feasible) == 1:
        return Placement(feasible[0].name)
    totals = [0] * len(feasible)
    for plugin, weight in profile:
        scores = plugin.score(pod, feasible, snapshot)
        if scores is not None:
            totals = [total + weight * score for total, score in zip(totals, scores, strict=True)]
    return Placement(feasible[totals.index(max(totals))].name)


def normalized(scores: Sequence[int], *, reverse: bool = False) -> list[int]:
    """Scores scaled so that the highest is BEST (helper.DefaultNormalizeScore)."""
    most = max(scores, default=0)
    if most == 0:
        return [BEST if reverse else 0] * len(scores)
    scaled = [score * BEST // most for score in scores]
    return [BEST - score for score in scaled] if reverse else scaled


def _feasible_enough(nodes: int) -> int:
    """How many feasible nodes to look for: all of a small cluster, a falling share of a large one."""
    if nodes < 100:
        return max(nodes, 1)
    return max(100, nodes * max(5, 50 - nodes // 125) // 100)


def _words(nodes: int, reasons: Counter[str]) -> str:
    if not nodes:
        return "no nodes available to schedule pods"
    listed = ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))
    return f"0/{nodes} nodes are available: {listed}."
