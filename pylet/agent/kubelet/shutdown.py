"""A machine that goes down: how long which pods have to end. Pure.

Source: upstream `pkg/kubelet/nodeshutdown/{nodeshutdown_manager,storage}.go`.
"""

from __future__ import annotations

import json
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pylet.agent.kubelet.eviction import CRITICAL_PRIORITY
from pylet.agent.kubelet.stopping import Ending
from pylet.api import timestamps
from pylet.api.object import Object

REFUSAL = "NodeShutdown", "Pod was rejected as the node is shutting down."
NOT_READY = "node is shutting down"
_NEVER = "0001-01-01T00:00:00Z"
_WORDS = "Pod was terminated in response to imminent node shutdown."


@dataclass(frozen=True, slots=True, order=True)
class Phase:
    """Pods of this priority and above, up to the next phase's, have so long to end."""

    priority: int
    seconds: int

    @property
    def ending(self) -> Ending:
        return Ending("Terminated", _WORDS, self.seconds, _WORDS)


@dataclass(frozen=True, slots=True)
class Closed:
    """The last time that pods were ended for a shutdown; the end is None until all have."""

    began: datetime
    ended: datetime | None = None

    def to_text(self) -> str:
        ended = timestamps.format_time(self.ended) if self.ended is not None else _NEVER
        return json.dumps({"startTime": timestamps.format_time(self.began), "endTime": ended})

    @classmethod
    def of(cls, text: str) -> Closed:
        """Raises: ValueError."""
        try:
            found = json.loads(text)
            ended = found["endTime"]
            return cls(timestamps.parse(found["startTime"]), timestamps.parse(ended) if ended != _NEVER else None)
        except (KeyError, TypeError) as bad:
            raise ValueError(f"no record of a shutdown: {text[:80]!r}") from bad


def two_phases(whole: int, critical: int) -> tuple[Phase, ...]:
    """Seconds that all pods have together, and of them those that critical pods have at the end."""
    return (Phase(0, whole - critical), Phase(CRITICAL_PRIORITY, critical)) if whole else ()


def by_phase(phases: Sequence[Phase], pods: Iterable[Object]) -> list[tuple[Phase, list[Object]]]:
    """Which pods end when; `phases` are in order. A pod below them all ends in the first."""
    groups: list[tuple[Phase, list[Object]]] = [(phase, []) for phase in phases]
    priorities = [phase.priority for phase in phases]
    for pod in pods:
        groups[max(0, bisect_right(priorities, pod["spec"].get("priority") or 0) - 1)][1].append(pod)
    return [(phase, found) for phase, found in groups if found]
