"""Which pod is to be tried next: active, backing off, or waiting for a change that may help. Pure: told the time.

A pod that was refused waits (parked) until something happens that one of the plugins that refused it calls helpful, or
for five minutes. It then backs off for as long as it was tried in vain before, unless nobody else has work to do. One
whose attempt failed for another reason backs off in any case.

Source: upstream `pkg/scheduler/backend/queue`.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

_BACKOFF_SECONDS = (1.0, 10.0)
_PATIENCE_SECONDS = 300.0
_FAILED, _TIMEOUT = "ScheduleAttemptFailure", "UnschedulableTimeout"
ARRIVAL = "UnschedulablePodAdd"
ACTIVE, BACKOFF, PARKED = "active", "backoff", "unschedulable"
"""Queues, as upstream calls them."""


class Tried(NamedTuple):
    """How often a pod has been tried, when for the first time and lately, and whether it was for time alone."""

    times: int
    first_at: float
    at: float
    was_flushed: bool


@dataclass(slots=True)
class _Waiting:
    uid: str
    priority: int
    order: int
    tries: int = 0
    first_at: float = 0.0
    tried_at: float = 0.0
    was_flushed: bool = False
    place: int = 0
    """The number of its entry in a heap: older ones do not count any more."""
    refused_by: frozenset[str] = field(default_factory=frozenset)


class Queue:
    """Pods by uid. `parked` tells who refused each, oldest first; empty: not a plugin, so that any change may help."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Waiting] = {}
        self._active: list[tuple[int, int, int, str]] = []
        self._backoff: list[tuple[float, int, str]] = []
        self._failed: list[tuple[float, int, str]] = []
        self._parked: dict[str, _Waiting] = {}
        self._refusers: Counter[str] = Counter()
        self._numbers = itertools.count(1)
        self.moves: Counter[tuple[str, str]] = Counter()
        """How many pods came into a queue, by what happened and which it is."""

    def __contains__(self, uid: str) -> bool:
        return uid in self._waiting

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, uid: str, priority: int, event: str = ARRIVAL) -> None:
        """A pod to be tried as soon as those before it were; `event` is what brings it."""
        known = self._waiting.get(uid)
        if known is None:
            known = self._waiting[uid] = _Waiting(uid, priority, next(self._numbers))
        known.priority = priority
        self._activate(known, event)

    def remove(self, uid: str) -> None:
        self._waiting.pop(uid, None)
        self._unpark(uid)

    def pop(self, now: float) -> str | None:
        """The pod to try now. Its place is kept: it must be parked, put back or removed."""
        self._move_due(now)
        while self._active:
            _, _, place, uid = heapq.heappop(self._active)
            if self._take(uid, place, now):
                return uid
        while self._backoff:  # nobody else wants to be tried: no reason to wait
            _, place, uid = heapq.heappop(self._backoff)
            if self._take(uid, place, now):
                self.moves["PopFromBackoffQ", ACTIVE] += 1
                return uid
        return None

    def tried(self, uid: str) -> Tried:
        """Of a pod that waits, or has a place and is still remembered."""
        waiting = self._waiting[uid]
        return Tried(waiting.tries, waiting.first_at, waiting.tried_at, waiting.was_flushed)

    def refused_by(self, uid: str) -> frozenset[str]:
        """Lately."""
        return self._waiting[uid].refused_by

    def lengths(self) -> dict[str, int]:
        """By queue."""
        active = sum(self._is_at(uid, place) for _, _, place, uid in self._active)
        backing_off = sum(self._is_at(uid, place) for _, place, uid in (*self._backoff, *self._failed))
        return {ACTIVE: active, BACKOFF: backing_off, PARKED: len(self._parked)}

    def park(self, uid: str, refused_by: frozenset[str]) -> None:
        waiting = self._waiting[uid]
        waiting.refused_by = refused_by
        waiting.place = 0
        waiting.was_flushed = False
        self._parked[uid] = waiting
        self.moves[_FAILED, PARKED] += 1
        self._refusers.update(refused_by or ("",))

    def retry(self, uid: str) -> None:
        """Try a pod again whose attempt failed for no reason of its own, after its back-off."""
        self._unpark(uid)
        waiting = self._waiting[uid]
        waiting.refused_by = frozenset()
        waiting.was_flushed = False
        waiting.place = next(self._numbers)
        self.moves[_FAILED, BACKOFF] += 1
        heapq.heappush(self._failed, (self._backed_off(waiting), waiting.place, uid))

    def parked(self, by: frozenset[str] | None = None) -> Iterator[tuple[str, frozenset[str]]]:
        """Who waits and who refused it: all, or those that at least one of these plugins refused."""
        if by is not None and not any(self._refusers[name] for name in (*by, "")):
            return
        for uid, waiting in list(self._parked.items()):
            if by is None or not waiting.refused_by or not waiting.refused_by.isdisjoint(by):
                yield uid, waiting.refused_by

    def wake(self, uid: str, now: float, event: str) -> None:
        waiting = self._unpark(uid)
        if waiting is None:
            return
        ready = self._backed_off(waiting)
        if ready <= now:
            self._activate(waiting, event)
        else:
            waiting.place = next(self._numbers)
            self.moves[event, BACKOFF] += 1
            heapq.heappush(self._backoff, (ready, waiting.place, uid))

    def due(self) -> float | None:
        """When to ask again although nothing happens."""
        times = [self._failed[0][0]] if self._failed else []
        if self._parked:
            times.append(next(iter(self._parked.values())).tried_at + _PATIENCE_SECONDS)
        return min(times, default=None)

    def _unpark(self, uid: str) -> _Waiting | None:
        waiting = self._parked.pop(uid, None)
        if waiting is not None:
            self._refusers.subtract(waiting.refused_by or ("",))
        return waiting

    def _activate(self, waiting: _Waiting, event: str) -> None:
        self._unpark(waiting.uid)
        self.moves[event, ACTIVE] += 1
        waiting.place = next(self._numbers)
        heapq.heappush(self._active, (-waiting.priority, waiting.order, waiting.place, waiting.uid))

    def _take(self, uid: str, place: int, now: float) -> bool:
        if not self._is_at(uid, place):
            return False
        waiting = self._waiting[uid]
        waiting.place = 0
        waiting.first_at = waiting.first_at if waiting.tries else now
        waiting.tries += 1
        waiting.tried_at = now
        return True

    def _is_at(self, uid: str, place: int) -> bool:
        waiting = self._waiting.get(uid)
        return waiting is not None and waiting.place == place

    def _move_due(self, now: float) -> None:
        while self._parked:
            oldest = next(iter(self._parked.values()))
            if oldest.tried_at + _PATIENCE_SECONDS > now:
                break
            self.wake(oldest.uid, now, _TIMEOUT)
            oldest.was_flushed = True
        for heap in (self._failed, self._backoff):
            while heap and heap[0][0] <= now:
                _, place, uid = heapq.heappop(heap)
                if self._is_at(uid, place):
                    self._activate(self._waiting[uid], "BackoffComplete")

    @staticmethod
    def _backed_off(waiting: _Waiting) -> float:
        first, longest = _BACKOFF_SECONDS
        wait: float = min(first * 2 ** min(waiting.tries - 1, 10), longest) if waiting.tries else 0.0
        return waiting.tried_at + wait
