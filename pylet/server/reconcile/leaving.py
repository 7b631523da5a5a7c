"""Which pods of a workload go first. Pure.

Source: upstream `pkg/controller/controller_utils.go` (ActivePods, ActivePodsWithRanks).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cmp_to_key
from typing import Any, TypeVar

from pylet.api import timestamps
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, annotations_of, condition_of, uid_of
from pylet.api.podtemplate import is_ready
from pylet.client.view import Entry
from pylet.server.reconcile.members import member

_Pod = TypeVar("_Pod", Object, Entry)
_PHASE_RANK = {"Pending": 0, "Unknown": 1, "Running": 2}


@dataclass(frozen=True, slots=True)
class _Leaver:
    """What counts of a pod, in the order in which it counts; less is missed less. Times are RFC 3339, or empty."""

    worth: tuple[Any, ...]
    ready_since: str
    restarts: tuple[int, int]
    created: str
    uid: str


def least_missed(pods: Sequence[Object]) -> list[Object]:
    """The pods in the order in which they may go: the newest first among equals."""
    return _sorted(pods, [_leaver(pod) for pod in pods], None)


def least_missed_beside(pods: Sequence[Entry], others: Iterable[Entry], now: datetime) -> list[Entry]:
    """As `least_missed`, but by what users say a pod costs and where `others` crowd; and of pods of about the same age
    it is chance who goes, so that not always the newest node loses its pods."""
    crowd = Counter(member(other).node for other in others)
    leavers = [_leaver(pod := entry.decoded(), _cost(pod), -crowd[member(entry).node]) for entry in pods]
    return _sorted(pods, leavers, now)


def _leaver(pod: Object, *more: int) -> _Leaver:
    spec, status, meta = pod["spec"], pod.get("status") or {}, pod["metadata"]
    ready = condition_of(pod, "Ready") if is_ready(pod) else None
    names = {container["name"] for container in spec.get("initContainers") or () if is_sidecar(container)}
    restarts = [one.get("restartCount", 0) for one in status.get("containerStatuses") or ()]
    besides = [s.get("restartCount", 0) for s in status.get("initContainerStatuses") or () if s["name"] in names]
    return _Leaver(
        (bool(spec.get("nodeName")), _PHASE_RANK.get(status.get("phase", ""), 0), ready is not None, *more),
        (ready or {}).get("lastTransitionTime") or "",
        (max(restarts, default=0), max(besides, default=0)),
        meta.get("creationTimestamp") or "",
        uid_of(pod),
    )


def _cost(pod: Object) -> int:
    try:
        return int(annotations_of(pod).get("controller.kubernetes.io/pod-deletion-cost", "0"))
    except ValueError:
        return 0


def _sorted(pods: Sequence[_Pod], leavers: Sequence[_Leaver], now: datetime | None) -> list[_Pod]:
    def compare(one: tuple[_Leaver, _Pod], other: tuple[_Leaver, _Pod]) -> int:
        a, b = one[0], other[0]
        if a.worth != b.worth:
            return -1 if a.worth < b.worth else 1
        if a.ready_since != b.ready_since:
            return _younger(a.ready_since, b.ready_since, now) or (-1 if a.uid < b.uid else 1)
        if a.restarts != b.restarts:
            return -1 if a.restarts > b.restarts else 1
        if a.created != b.created:
            return _younger(a.created, b.created, now) or (-1 if a.uid < b.uid else 1)
        return 0

    return [pod for _, pod in sorted(zip(leavers, pods, strict=True), key=cmp_to_key(compare))]


def _younger(one: str, other: str, now: datetime | None) -> int:
    """Negative when `one` is later, or unknown. With `now`, ages compare by their magnitude."""
    if not one or not other or now is None:
        return -1 if not one or (other and one > other) else 1
    return _magnitude(now - timestamps.parse(one)) - _magnitude(now - timestamps.parse(other))


def _magnitude(age: timedelta) -> int:
    return int(math.log2(age.total_seconds() * 1e9)) if age > timedelta() else -1
