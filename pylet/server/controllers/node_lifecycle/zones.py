"""Failure zones: how fast nodes of a zone may be emptied, given how many of it are well. Pure but for its memory.

When nearly all of a zone is silent, it is rather the network that is ill than the nodes, so it slows down; when all
zones are, it stops. Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go` (handleDisruption).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import NamedTuple

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object, is_true, labels_of
from pylet.client.view import Entry, Table, View

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
    return is_true(node, "Ready")


def zone_of(node: Object) -> tuple[str, str]:
    labels = labels_of(node)
    return labels.get(_REGION, ""), labels.get(_ZONE, "")


def name_of(zone: tuple[str, str]) -> str:
    """As upstream's GetZoneKey."""
    region, name = zone
    return f"{region}:\x00:{name}" if region or name else ""


class _Seen(NamedTuple):
    """What of a node matters here."""

    zone: tuple[str, str]
    is_ready: bool
    counts: bool

    @staticmethod
    def of(entry: Entry) -> _Seen:
        return _Seen(zone_of(entry.object), is_ready(entry.object), _EXCLUDED not in entry.labels)


class Zones:
    """What was seen of a node is kept until it changes: when many nodes join or fall silent, each asks of all."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], datetime] = {}  # when a node of the zone was emptied
        self._seen: dict[Key, tuple[Entry, _Seen]] = {}
        self._counts: Counter[tuple[tuple[str, str], bool]] = Counter()
        self._read: tuple[Table, int, int] | None = None

    def are_all_lost(self, view: View) -> bool:
        """Whether no node of any zone is ready."""
        self._look(view)
        return not any(seen.is_ready for _, seen in self._seen.values())

    def concerns_others(self, entry: Entry, view: View) -> bool:
        """Whether a node that was so, or is so now, makes a difference to the others of its zone."""
        known = self._seen.get(entry.key)
        return known is None or entry.key not in view.table(NODE).entries or known[1] != _Seen.of(entry)

    def wait(self, node: Object, view: View, now: datetime) -> timedelta | None:
        """How long until one more node of this zone may be emptied; None as long as the zone is as it is."""
        self._look(view)
        zone = zone_of(node)
        state, size = _state(self._counts[zone, True], self._counts[zone, False])
        if state is State.PARTIAL and size <= _LARGE:
            return None
        every = _EVERY_SLOW if state is State.PARTIAL else _EVERY
        last = self._last.get(zone)
        return timedelta() if last is None else max(timedelta(), last + every - now)

    def sizes(self, view: View) -> Iterator[tuple[str, int, int]]:
        """By upstream's name of each zone, how many nodes it has and how many of them are not ready."""
        self._look(view)
        for zone in {zone for zone, _ in self._counts}:  # a zone of no nodes has no count
            others = self._counts[zone, False]
            yield name_of(zone), self._counts[zone, True] + others, others

    def emptied(self, node: Object, now: datetime) -> None:
        self._last[zone_of(node)] = now

    def time_set(self, moved: timedelta) -> None:
        self._last = {zone: last + moved for zone, last in self._last.items()}

    def _look(self, view: View) -> None:
        table = view.table(NODE)
        if self._read == (table, table.revision, len(table.entries)):
            return
        before, self._seen = self._seen, {}
        for key, entry in table.entries.items():
            known = before.get(key)
            self._seen[key] = known if known is not None and known[0] is entry else (entry, _Seen.of(entry))
        self._counts = Counter((seen.zone, seen.is_ready) for _, seen in self._seen.values() if seen.counts)
        self._read = table, table.revision, len(table.entries)


def _state(ready: int, others: int) -> tuple[State, int]:
    """Of a zone with so many nodes that count, and their number."""
    if not ready and others:
        return State.FULL, others
    if others > 2 and others / (others + ready) >= _UNHEALTHY_SHARE:
        return State.PARTIAL, ready + others
    return State.NORMAL, ready + others
