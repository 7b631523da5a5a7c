"""Which pods must go so that one that matters more finds a place: DefaultPreemption. Pure.

Source: upstream `plugins/defaultpreemption/default_preemption.go`, `framework/preemption/preemption.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pylet.api import selector
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.object import Object, dig
from pylet.server.scheduler.decide import Asking, Profile, Refusal, Unschedulable, listed
from pylet.server.scheduler.model import NodeInfo, Pending, PodInfo
from pylet.server.scheduler.snapshot import Snapshot

_LEAST_CANDIDATES = 100  # or a tenth of the nodes
_NO_VICTIMS = Refusal("DefaultPreemption", ("No preemption victims found for incoming pod",), is_final=True)
_OF_ALL_INTEGERS = 2**31  # added to priorities, so that more victims never weigh less


@dataclass(frozen=True, slots=True)
class Preemption:
    node: str
    victims: tuple[PodInfo, ...]


@dataclass(frozen=True, slots=True)
class Useless:
    """Why nothing would help; `keeps_nomination`: what was tried before still goes on."""

    message: str
    keeps_nomination: bool = False


@dataclass(frozen=True, slots=True)
class _Candidate:
    node: str
    victims: tuple[PodInfo, ...]
    violations: int

    @property
    def cost(self) -> tuple[int, int, int, int]:
        priorities = sum(victim.priority + _OF_ALL_INTEGERS for victim in self.victims)
        return self.violations, self.victims[0].priority, priorities, len(self.victims)

    @property
    def earliest_start(self) -> str:
        """Of the victims that matter most."""
        most = max(victim.priority for victim in self.victims)
        return min(_started(victim) for victim in self.victims if victim.priority == most)


def preempt(
    pod: Pending, refused: Unschedulable, snapshot: Snapshot, profile: Profile, offset: int = 0
) -> Preemption | Useless:
    """`offset` rotates the nodes that are tried."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return Useless("not eligible due to preemptionPolicy=Never.", keeps_nomination=True)
    if _is_being_cleared(pod, refused, snapshot):
        return Useless("not eligible due to a terminating pod on the nominated node.", keeps_nomination=True)
    worth = [name for name, refusal in refused.refusals.items() if not refusal.is_final]
    asking = Asking.of(pod, snapshot, profile) if worth else None
    candidates: list[_Candidate] = []
    refusals: dict[str, Refusal] = {}
    if isinstance(asking, Asking):
        offset %= len(worth)
        candidates, refusals = _candidates(asking, [*worth[offset:], *worth[:offset]])
    if not candidates:
        reasons = Unschedulable(refused.nodes, refusals).reasons
        if others := refused.nodes - len(refusals):
            reasons["Preemption is not helpful for scheduling"] += others
        return Useless(f"0/{refused.nodes} nodes are available: {listed(reasons)}.")
    least = min(candidate.cost for candidate in candidates)
    cheapest = [candidate for candidate in candidates if candidate.cost == least]
    best = max(cheapest, key=lambda candidate: candidate.earliest_start)
    return Preemption(best.node, best.victims)


def _is_being_cleared(pod: Pending, refused: Unschedulable, snapshot: Snapshot) -> bool:
    """Whether victims of an earlier preemption are still on their way out of its node."""
    node = snapshot.nodes.get(pod.nominated) if pod.nominated else None
    if node is None:
        return False
    refusal = refused.refusals.get(node.name)
    if refusal is None or refusal.is_final:
        return False
    return any(other.is_preempted and other.priority < pod.priority for other in node.pods.values())


def _candidates(asking: Asking, names: Sequence[str]) -> tuple[list[_Candidate], dict[str, Refusal]]:
    enough = max(len(names) // 10, _LEAST_CANDIDATES)
    budgets = asking.snapshot.view.select(BUDGET)
    found: list[_Candidate] = []
    refusals: dict[str, Refusal] = {}
    for name in names:
        match _victims(asking, asking.snapshot.nodes[name], budgets):
            case Refusal() as refusal:
                refusals[name] = refusal
            case candidate:
                found.append(candidate)
        if len(found) >= enough and any(not candidate.violations for candidate in found):
            break
    return found, refusals


def _victims(asking: Asking, node: NodeInfo, budgets: Sequence[Object]) -> _Candidate | Refusal:
    """The fewest that must go: all that matter less, and of those again whoever may stay, the most important first."""
    lower = [other for other in node.pods.values() if other.priority < asking.pod.priority]
    if not lower:
        return _NO_VICTIMS
    with asking.snapshot.supposing(node) as supposed:
        for other in lower:
            supposed.take(other)
        refusal = asking.fits_now(node)
        if refusal is not None:
            return refusal
        lower.sort(key=_importance)
        violating, others = _by_budget(lower, budgets)
        victims: list[PodInfo] = []
        violations = 0
        for other in (*violating, *others):
            supposed.put(other)
            if asking.fits_now(node) is not None:
                supposed.take(other)
                victims.append(other)
                violations += other in violating
    if not victims:
        return _NO_VICTIMS
    return _Candidate(node.name, tuple(sorted(victims, key=_importance)), violations)


def _importance(pod: PodInfo) -> tuple[int, str]:
    return -pod.priority, _started(pod)


def _started(pod: PodInfo) -> str:
    return pod.started or "~"  # not yet: later than all others


def _by_budget(pods: Iterable[PodInfo], budgets: Sequence[Object]) -> tuple[list[PodInfo], list[PodInfo]]:
    """Pods whose end would breach a budget, and the others; those before use up what a budget allows."""
    rules = [
        (budget, selects)
        for budget in budgets
        if not (selects := selector.from_object(budget["spec"].get("selector"))).is_everything
    ]
    allowed = [dig(budget, "status", "disruptionsAllowed", default=0) for budget, _ in rules]
    violating: list[PodInfo] = []
    others: list[PodInfo] = []
    for pod in pods:
        is_violating = False
        for at, (budget, selects) in enumerate(rules):
            if budget["metadata"]["namespace"] != pod.namespace or not pod.labels or not selects(pod.labels):
                continue
            if pod.key.name in dig(budget, "status", "disruptedPods", default={}):
                continue
            allowed[at] -= 1
            is_violating = is_violating or allowed[at] < 0
        (violating if is_violating else others).append(pod)
    return violating, others
