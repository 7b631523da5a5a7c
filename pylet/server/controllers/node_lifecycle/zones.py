"""Failure zones: how fast nodes of a zone may be emptied, given how many of it are well. Pure but for its memory.

When nearly all of a zone is silent, it is rather the network that is ill than the nodes, so it slows down; when all
zones are, it stops. Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go` (handleDisruption).
"""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum, auto

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Object, condition_of, labels_of
from pylet.client.view import View

_EXCLUDED = "node.kubernetes.io/exclude-disruption"
_REGION, _ZONE = "topology.kubernetes.io/region", "topology.kubernetes.io/zone"
_UNHEALTHY_SHARE = 0.55
_LARGE = 50
_EVERY = timedelta(seconds=10)
_EVERY_SLOW = timedelta(seconds=100)


class State(Enum):
    NORMAL = auto()
    PARTIAL = auto()
    """More than half of the zone's nodes, and at least three, are not ready."""
    FULL = auto()


def is_ready(node: Object) -> bool:
    return (condition_of(node, "Ready") or {}).get("status") == "True"


def zone_of(node: Object) -> tuple[str, str]:
    labels = labels_of(node)
    return labels.get(_REGION, ""), labels.get(_ZONE, "")


class Zones:
    def __init__(self) -> None:
        self._last: dict[tuple[str, str], datetime] = {}  # when a node of the zone was emptied

    def are_all_lost(self, view: View) -> bool:
        """Whether no node of any zone is ready."""
        return not any(is_ready(entry.object) for entry in view.table(NODE).entries.values())

    def wait(self, node: Object, view: View, now: datetime) -> timedelta | None:
        """How long until one more node of this zone may be emptied; None as long as the zone is as it is."""
        state, size = _state(node, view)
        if state is State.PARTIAL and size <= _LARGE:
            return None
        every = _EVERY_SLOW if state is State.PARTIAL else _EVERY
        last = self._last.get(zone_of(node))
        return timedelta() if last is None else max(timedelta(), last + every - now)

    def emptied(self, node: Object, now: datetime) -> None:
        self._last[zone_of(node)] = now


def _state(node: Object, view: View) -> tuple[State, int]:
    """Of the node's zone, with the number of its nodes that count."""
    zone, ready, others = zone_of(node), 0, 0
    for entry in view.table(NODE).entries.values():
        if _EXCLUDED not in entry.labels and zone_of(entry.object) == zone:
            if is_ready(entry.object):
                ready += 1
            else:
                others += 1
    if not ready and others:
        return State.FULL, others
    if others > 2 and others / (others + ready) >= _UNHEALTHY_SHARE:
        return State.PARTIAL, ready + others
    return State.NORMAL, ready + others
