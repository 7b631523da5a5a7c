"""How fast a workload may grow and shrink: windows that steady the advice, policies that bound the pace. Pure.

Source: upstream `pkg/controller/podautoscaler/horizontal.go` (normalizeDesiredReplicas and its neighbours).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pylet.api.object import Object, dig

_DOWN_WINDOW_SECONDS = 300
_WITHIN = ("DesiredWithinRange", "the desired count is within the acceptable range")
_TOO_MANY = ("TooManyReplicas", "the desired replica count is more than the maximum replica count")
_TOO_FEW = ("TooFewReplicas", "the desired replica count is less than the minimum replica count")
_TOO_FAST_UP = ("ScaleUpLimit", "the desired replica count is increasing faster than the maximum scale rate")
_TOO_FAST_DOWN = ("ScaleDownLimit", "the desired replica count is decreasing faster than the maximum scale rate")
_READY = ("ReadyForNewScale", "recommended size matches current size")
_STEADY_DOWN = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
)
_STEADY_UP = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
)


@dataclass(slots=True)
class History:
    """What was advised and done lately; a server that restarts has forgotten it, as upstream's."""

    advice: list[tuple[datetime, int]] = field(default_factory=list)
    grown: list[tuple[datetime, int]] = field(default_factory=list)
    shrunk: list[tuple[datetime, int]] = field(default_factory=list)

    def note(self, before: int, after: int, now: datetime) -> None:
        (self.grown if after > before else self.shrunk).append((now, abs(after - before)))

    def strike(self, noted: datetime) -> None:
        """What was noted then was not done."""
        for past in (self.grown, self.shrunk):
            past[:] = [one for one in past if one[0] != noted]

    def forget(self, before: datetime) -> None:
        for past in (self.advice, self.grown, self.shrunk):
            past[:] = [one for one in past if one[0] >= before]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`steady` and `limit` are the reason and message of the conditions AbleToScale and ScalingLimited."""

    replicas: int
    steady: tuple[str, str]
    limit: tuple[str, str]
    is_limited: bool


def normalize(spec: Object, history: History, current: int, advised: int, now: datetime) -> Verdict:
    """What becomes of an advised number of replicas; notes it in `history`."""
    least, most, rules = spec.get("minReplicas", 1), spec["maxReplicas"], spec.get("behavior")
    history.forget(now - timedelta(hours=1))
    steadied, why = _steadied(rules, history, current, advised, now)
    steady = why if steadied != advised else _READY
    history.advice.append((now, advised))
    if rules is None:
        wanted, limit = _bounded(current, steadied, least, most)
    else:
        wanted, limit = _paced(rules, history, current, steadied, least, most, now)
    return Verdict(wanted, steady, limit, wanted != steadied)


def _steadied(
    rules: Object | None, history: History, current: int, advised: int, now: datetime
) -> tuple[int, tuple[str, str]]:
    """The least eager of the recent pieces of advice."""
    down = dig(rules, "scaleDown", "stabilizationWindowSeconds", default=_DOWN_WINDOW_SECONDS)
    highest = max((*_since(history.advice, down, now), advised))
    if rules is None:
        return highest, _STEADY_DOWN
    up = dig(rules, "scaleUp", "stabilizationWindowSeconds", default=0)
    lowest = min((*_since(history.advice, up, now), advised))
    why = _STEADY_UP if advised >= current else _STEADY_DOWN
    return min(max(current, lowest), highest), why


def _bounded(current: int, advised: int, least: int, most: int) -> tuple[int, tuple[str, str]]:
    fastest = max(2 * current, 4)
    if advised < least:
        return least, _TOO_FEW
    if advised > min(most, fastest):
        return (fastest, _TOO_FAST_UP) if most > fastest else (most, _TOO_MANY)
    return advised, _WITHIN


def _paced(
    rules: Object, history: History, current: int, advised: int, least: int, most: int, now: datetime
) -> tuple[int, tuple[str, str]]:
    if advised > current:
        fastest = max(current, _limit(rules["scaleUp"], history, current, now, up=True))
        if advised > min(most, fastest):
            return (fastest, _TOO_FAST_UP) if most > fastest else (most, _TOO_MANY)
    elif advised < current:
        fastest = min(current, _limit(rules["scaleDown"], history, current, now, up=False))
        if advised < max(least, fastest):
            return (fastest, _TOO_FAST_DOWN) if least < fastest else (least, _TOO_FEW)
    return advised, _WITHIN


def _limit(rules: Object, history: History, current: int, now: datetime, *, up: bool) -> int:
    """How far the policies let it go now; the policy that lets it go furthest counts unless `Min` is asked for."""
    if rules.get("selectPolicy") == "Disabled":
        return current
    found = []
    for policy in rules.get("policies") or ():
        period, value = policy["periodSeconds"], policy["value"]
        start = current - sum(_since(history.grown, period, now)) + sum(_since(history.shrunk, period, now))
        if policy["type"] == "Pods":
            found.append(start + value if up else start - value)
        elif up:
            found.append(math.ceil(start * (1 + value / 100)))
        else:
            found.append(int(start * (1 - value / 100)))
    furthest = max if up != (rules.get("selectPolicy") == "Min") else min
    return furthest(found, default=current)


def _since(past: Iterable[tuple[datetime, int]], seconds: int, now: datetime) -> list[int]:
    cutoff = now - timedelta(seconds=seconds)
    return [value for at, value in past if at > cutoff]
