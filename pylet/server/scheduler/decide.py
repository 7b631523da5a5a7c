"""Where a pod goes, or why it cannot go anywhere: plugins filter and score, this adds up. Pure.

What a plugin says by looking at one node alone is remembered for all pods of the same shape until that node changes: a
decision costs what changed since the last one. To try nodes as they would be with nominated pods, the snapshot is
changed and put back.

Source: upstream `pkg/scheduler/schedule_one.go`, FitError of `framework/types.go` for the words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

BEST = 100
"""The highest score a plugin gives a node."""


class Refusal(NamedTuple):
    """Why a node will not do, in upstream's words. `is_final`: taking pods away from it would not help."""

    plugin: str
    reasons: tuple[str, ...]
    is_final: bool = False


class Broken(Exception):
    """What a pod asks for is such that there is no deciding about it; the message says how."""


Check: TypeAlias = Callable[[NodeInfo], Refusal | None]
Score: TypeAlias = Callable[[NodeInfo], int]


class Only(NamedTuple):
    """Only nodes of these names are worth a look."""

    names: frozenset[str]
    check: Check


class Change(NamedTuple):
    """Something that came (no `before`), went (no `after`) or changed."""

    kind: Kind
    before: Object | None
    after: Object | None


class Plugin(Protocol):
    """What a plugin may say; one that inherits this says nothing of what it leaves out."""

    name: str
    is_local: bool = False
    """Its checks and scores see the pod's shape and one node: they are remembered until the node changes."""

    minds_arrivals: bool = False
    """Whether a pod that got a node may help one that the plugin refused."""

    normalize: Callable[[Sequence[int]], Sequence[int]] | None = None
    """From scores of any range to 0…BEST; None where they are that already."""

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Only | Refusal | None:
        """A check made for this pod; a Refusal when no node will do; None when there is nothing to say."""
        return None

    def score(self, pod: Pending, nodes: Sequence[NodeInfo], snapshot: Snapshot) -> Score | None:
        """How good each of the feasible nodes is; None when it makes no difference. Local ones get no `nodes`."""
        return None

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        """Whether a pod this plugin refused should be tried again after that change (upstream's queueing hint)."""
        return False


@dataclass(frozen=True, slots=True)
class Profile:
    """Plugins in the order they are asked, each with its weight; `percentage` of nodes to score, 0 for by size."""

    plugins: Sequence[tuple[Plugin, int]]
    scheduler_name: str = "default-scheduler"
    percentage: int = 0
    may_preempt: bool = True


def profile_of(pod: Object, profiles: Mapping[str, Profile]) -> Profile:
    """`profiles` are by the name of their scheduler."""
    return profiles[scheduler_of(pod)]


def scheduler_of(pod: Object) -> str:
    """Who is to place it."""
    name: str = pod["spec"].get("schedulerName", "default-scheduler")
    return name


@dataclass(frozen=True, slots=True)
class Placement:
    node: str
    examined: int = 0


@dataclass(frozen=True, slots=True)
class Unschedulable:
    """Why no node takes the pod: `refusals` by node, or `refusal` of all of them at once.

    `elsewhere` is what is said of nodes nobody looked at, because the pod names the ones it wants.
    """

    nodes: int
    refusals: Mapping[str, Refusal] = field(default_factory=dict)
    refusal: Refusal | None = None
    elsewhere: str = ""
    after: str = ""
    """What preemption had to say."""

    @property
    def refused_by(self) -> frozenset[str]:
        found = {refusal.plugin for refusal in self.refusals.values()}
        if self.refusal is not None:
            found.add(self.refusal.plugin)
        if self.elsewhere:
            found.add("NodeAffinity")
        return frozenset(found)

    @property
    def reasons(self) -> Counter[str]:
        counts = Counter(reason for refusal in self.refusals.values() for reason in refusal.reasons)
        if self.elsewhere:
            counts[self.elsewhere] += self.nodes - len(self.refusals)
        return +counts

    @property
    def message(self) -> str:
        if not self.nodes:
            return "no nodes available to schedule pods"
        said = ", ".join(self.refusal.reasons) if self.refusal is not None else listed(self.reasons)
        words = f"0/{self.nodes} nodes are available:"
        return words + (f" {said}." if said else "") + (f" {self.after}" if self.after else "")


def listed(reasons: Mapping[str, int]) -> str:
    return ", ".join(sorted(f"{count} {reason}" for reason, count in reasons.items()))


class Verdict(NamedTuple):
    """What local plugins said of a node as of one generation of it."""

    generation: int
    refusal: Refusal | None
    fixed: int = 0
    raw: tuple[int, ...] = ()


def decide(
    pod: Pending, snapshot: Snapshot, profile: Profile, start: int = 0, turn: int = 0
) -> Placement | Unschedulable:
    """`start` rotates the nodes, so that sampling does not always begin with the same; `turn` breaks ties."""
    count = len(snapshot.nodes)
    if not count:
        return Unschedulable(0)
    asking = Asking.of(pod, snapshot, profile)
    if isinstance(asking, Refusal):
        return Unschedulable(count, refusal=asking)
    nominated = snapshot.nodes.get(pod.nominated) if pod.nominated else None
    if nominated is not None and asking.try_node(nominated) is None:
        return Placement(nominated.name)
    nodes: Iterable[NodeInfo]
    if asking.only is not None:
        nodes = [node for name in sorted(asking.only) if (node := snapshot.nodes.get(name)) is not None]
        enough = count
    else:
        ordered = snapshot.ordered()
        start %= count
        nodes = (*ordered[start:], *ordered[:start]) if start else ordered
        enough = _feasible_enough(count, profile.percentage)
    feasible, verdicts, refusals = asking.walk(nodes, enough)
    if not feasible:
        elsewhere = "node(s) didn't satisfy plugin(s) [NodeAffinity]" if asking.only is not None else ""
        return Unschedulable(count, refusals, elsewhere=elsewhere)
    examined = len(feasible) + len(refusals)
    if len(feasible) == 1:
        return Placement(feasible[0].name, examined)
    totals = asking.totals(feasible, verdicts)
    best = max(totals)
    among = totals.count(best)
    at = totals.index(best)
    for _ in range(turn % among):
        at = totals.index(best, at + 1)
    return Placement(feasible[at].name, examined)


class Asking:
    """The plugins' checks for one pod, put to nodes."""

    __slots__ = ("_fixed", "_local", "_raw", "_said", "_wide", "only", "pod", "profile", "snapshot")

    def __init__(self, pod: Pending, snapshot: Snapshot, profile: Profile) -> None:
        self.pod = pod
        self.snapshot = snapshot
        self.profile = profile
        self.only: frozenset[str] | None = None
        self._local: list[Check] = []
        self._wide: list[Check] = []
        self._fixed: list[tuple[Score, int]] = []
        self._raw: list[tuple[Score, int, Callable[[Sequence[int]], Sequence[int]]]] = []
        self._said: dict[str, Any] = snapshot.said_of((profile.scheduler_name, pod.shape))

    @classmethod
    def of(cls, pod: Pending, snapshot: Snapshot, profile: Profile) -> Asking | Refusal:
        asking = cls(pod, snapshot, profile)
        for plugin, weight in profile.plugins:
            match plugin.filter(pod, snapshot):
                case None:
                    pass
                case Refusal() as refusal:
                    return refusal
                case Only(names, check):
                    asking.only = names
                    asking._add(plugin, check)
                case check:
                    asking._add(plugin, check)
            if weight and plugin.is_local and (score := plugin.score(pod, (), snapshot)) is not None:
                if plugin.normalize is None:
                    asking._fixed.append((score, weight))
                else:
                    asking._raw.append((score, weight, plugin.normalize))
        return asking

    def _add(self, plugin: Plugin, check: Check) -> None:
        (self._local if plugin.is_local else self._wide).append(check)

    def walk(self, nodes: Iterable[NodeInfo], enough: int) -> tuple[list[NodeInfo], list[Verdict], dict[str, Refusal]]:
        """Feasible nodes, as many as are enough, and why others on the way were refused."""
        said, wide, nominated = self._said, self._wide, self.snapshot.nominated
        feasible: list[NodeInfo] = []
        verdicts: list[Verdict] = []
        refusals: dict[str, Refusal] = {}
        for node in nodes:
            name = node.name
            verdict = said.get(name)
            if verdict is None or verdict.generation != node.generation:
                verdict = said[name] = self._judge(node)
            refusal = verdict.refusal
            if refusal is None:
                for check in wide:
                    refusal = check(node)
                    if refusal is not None:
                        break
            if refusal is None and name in nominated:
                refusal = self._beside_nominated(node)
            if refusal is not None:
                refusals[name] = refusal
                continue
            feasible.append(node)
            verdicts.append(verdict)
            if len(feasible) >= enough:
                break
        return feasible, verdicts, refusals

    def try_node(self, node: NodeInfo) -> Refusal | None:
        """Whether this one node will do, with the pods nominated to it and without."""
        refusals = self.walk((node,), 1)[2]
        return refusals.get(node.name)

    def totals(self, feasible: Sequence[NodeInfo], verdicts: Sequence[Verdict]) -> list[int]:
        totals = [verdict.fixed for verdict in verdicts]
        found = [
            (weight, normalize(scores))
            for (_, weight, normalize), scores in zip(
                self._raw, zip(*(verdict.raw for verdict in verdicts), strict=True), strict=True
            )
            if min(scores) != max(scores)
        ]
        for plugin, weight in self.profile.plugins:
            if not weight or plugin.is_local:
                continue
            score = plugin.score(self.pod, feasible, self.snapshot)
            if score is not None:
                scores = [score(node) for node in feasible]
                found.append((weight, scores if plugin.normalize is None else plugin.normalize(scores)))
        for weight, each in found:
            totals = [total + weight * score for total, score in zip(totals, each, strict=True)]
        return totals

    def _judge(self, node: NodeInfo) -> Verdict:
        for check in self._local:
            refusal = check(node)
            if refusal is not None:
                return Verdict(node.generation, refusal)
        fixed = 0
        for fixed_score, weight in self._fixed:
            fixed += weight * fixed_score(node)
        return Verdict(node.generation, None, fixed, tuple([score(node) for score, _, _ in self._raw]))

    def _beside_nominated(self, node: NodeInfo) -> Refusal | None:
        """Pods that matter no less and will come to this node count on it already."""
        coming = [
            other
            for other in self.snapshot.nominated.get(node.name, {}).values()
            if other.priority >= self.pod.priority and other.uid != self.pod.uid and other.uid not in node.pods
        ]
        if not coming:
            return None
        with self.snapshot.supposing(node) as supposed:
            for other in coming:
                supposed.put(other)
            return self._as_supposed(node)

    def fits_now(self, node: NodeInfo) -> Refusal | None:
        """Whether the node as one supposes it to be would do; nothing is remembered of the answer."""
        return self._as_supposed(node) or self._beside_nominated(node)

    def _as_supposed(self, node: NodeInfo) -> Refusal | None:
        for check in self._local:
            refusal = check(node)
            if refusal is not None:
                return refusal
        for plugin, _ in self.profile.plugins:
            if plugin.is_local:
                continue
            match plugin.filter(self.pod, self.snapshot):
                case None:
                    continue
                case Refusal() as refusal:
                    return refusal
                case Only(_, check) | check:
                    refusal = check(node)
            if refusal is not None:
                return refusal
        return None


def normalized(scores: Sequence[int]) -> list[int]:
    """Scores scaled so that the highest is BEST (helper.DefaultNormalizeScore)."""
    most = max(scores, default=0)
    return [score * BEST // most for score in scores] if most else [0] * len(scores)


def reversed_normalized(scores: Sequence[int]) -> list[int]:
    return [BEST - score for score in normalized(scores)]


def _feasible_enough(nodes: int, percentage: int) -> int:
    """How many feasible nodes to look for: all of a small cluster, a falling share of a large one."""
    if nodes < 100:
        return nodes
    percentage = percentage or max(5, 50 - nodes // 125)
    return max(100, nodes * percentage // 100)
