"""A queue of keys to work on: each key at most once, never by two workers at a time, later when asked.

`Schedule` decides and is pure; `WorkQueue` is the shell that waits. The back-off is client-go's default: 5 ms doubling
to 1,000 s for each key (`util/workqueue/default_rate_limiters.go`).
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import AsyncIterator, Hashable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from pylet.aio.clock import Clock

K = TypeVar("K", bound=Hashable)

_FIRST_RETRY_SECONDS = 0.005
_LONGEST_RETRY_SECONDS = 1000.0
_STALE = 1000  # entries of keys that were made due earlier; without a bound they stay until their time comes


class Schedule(Generic[K]):
    """When which key is due; times are monotonic seconds."""

    def __init__(self) -> None:
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._order = itertools.count()
        self.running: dict[K, tuple[float, float]] = {}
        """Keys being worked on: when each was due, and taken."""
        self._failures: dict[K, int] = {}

    def __len__(self) -> int:
        return len(self._due)

    @property
    def waiting(self) -> Iterable[K]:
        return self._due

    def add(self, key: K, at: float) -> bool:
        """Make `key` due at `at`, or earlier if it already is; whether it was not waiting before."""
        known = self._due.get(key)
        if known is None or at < known:
            self._due[key] = at
            heapq.heappush(self._heap, (at, next(self._order), key))
            if len(self._heap) > 2 * len(self._due) + _STALE:
                self._heap = [item for item in self._heap if self._due.get(item[2]) == item[0]]
                heapq.heapify(self._heap)
        return known is None

    def retry(self, key: K, now: float) -> float:
        """Make a key that failed due after its back-off; returns the seconds until then."""
        failures = self._failures.get(key, 0)
        self._failures[key] = failures + 1
        wait = min(_FIRST_RETRY_SECONDS * 2.0 ** min(failures, 40), _LONGEST_RETRY_SECONDS)
        self.add(key, now + wait)
        return wait

    def forget(self, key: K) -> None:
        """The key succeeded: its next failure starts at the first back-off again."""
        self._failures.pop(key, None)

    def hasten(self, now: float) -> None:
        """Whatever waits is due."""
        for key, at in list(self._due.items()):
            self.add(key, min(at, now))

    def take(self, now: float) -> K | None:
        """A due key that nobody works on, now taken; None when there is none."""
        skipped: list[tuple[float, int, K]] = []
        taken: K | None = None
        while self._heap and self._heap[0][0] <= now:
            item = heapq.heappop(self._heap)
            at, _, key = item
            if self._due.get(key) != at:
                continue  # it was made due earlier, and that entry has been served
            if key in self.running:
                skipped.append(item)
                continue
            del self._due[key]
            self.running[key] = at, now
            taken = key
            break
        for item in skipped:
            heapq.heappush(self._heap, item)
        return taken

    def done(self, key: K) -> None:
        self.running.pop(key, None)

    def next_due(self) -> float | None:
        """When to look again; a key being worked on doesn't count: `done` looks for it."""
        while self._heap and self._due.get(self._heap[0][2]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        if self._heap and self._heap[0][2] not in self.running:
            return self._heap[0][0]
        return min((at for key, at in self._due.items() if key not in self.running), default=None)


class WorkQueue(Generic[K]):
    """`add` from anywhere in the loop; any number of workers `take`."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._schedule: Schedule[K] = Schedule()
        self._waiters: set[asyncio.Future[None]] = set()

    def __len__(self) -> int:
        return len(self._schedule)

    @property
    def waiting(self) -> Iterable[K]:
        return self._schedule.waiting

    @property
    def running(self) -> Mapping[K, tuple[float, float]]:
        """Keys being worked on: when each was due, and taken, in monotonic seconds."""
        return self._schedule.running

    def add(self, key: K, after: float = 0.0) -> bool:
        """Whether it was not waiting before."""
        is_new = self._schedule.add(key, self._clock.monotonic() + after)
        self._wake_one()
        return is_new

    def retry(self, key: K) -> float:
        """Add a failed key after its back-off; returns the seconds until then."""
        wait = self._schedule.retry(key, self._clock.monotonic())
        self._wake_one()
        return wait

    def forget(self, key: K) -> None:
        self._schedule.forget(key)

    def hasten(self) -> None:
        """Whatever waits for its time is due now."""
        self._schedule.hasten(self._clock.monotonic())
        self._wake_one()

    @asynccontextmanager
    async def take(self) -> AsyncIterator[K]:
        """Wait for a due key and hold it: until the block ends nobody else gets it."""
        key = await self._next()
        try:
            yield key
        finally:
            self._schedule.done(key)
            self._wake_one()

    async def _next(self) -> K:
        while True:
            key = self._schedule.take(self._clock.monotonic())
            if key is not None:
                self._wake_one()  # there may be more for another worker
                return key
            await self._until_something()

    async def _until_something(self) -> None:
        due = self._schedule.next_due()
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.add(woken)
        timer = None
        try:
            if due is None:
                await woken
            else:
                timer = asyncio.ensure_future(self._clock.sleep(due - self._clock.monotonic()))
                await asyncio.wait((timer, woken), return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._waiters.discard(woken)
            if timer is not None:
                timer.cancel()

    def _wake_one(self) -> None:
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_result(None)
                return
