"""The recent past of a store: a bounded log of events that watches resume from and live on.

There is no task and no queue per watcher: a watcher keeps its place in the log and is woken by what is appended. One
that falls behind the bound is Lagged; one that starts before it is Compacted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence

from pylet.store.interface import Compacted, Event, Lagged, Progress, Put, Removed

_EVENTS = 4096
_BYTES = 1 << 20  # beside the last commit: readers are of this process, and have read it in a moment


class History:
    """Begins after revision `oldest`. `publish` appends what one commit brought."""

    def __init__(self, oldest: int, *, events: int = _EVENTS, size_bytes: int = _BYTES) -> None:
        self.oldest = oldest
        self.newest = oldest
        self._log: deque[Put | Removed] = deque()
        self._first = 0  # the number of the log's first event; places in the log are such numbers
        self._bytes = 0
        self._bound = events, size_bytes
        self._waiting: set[asyncio.Future[None]] = set()

    def publish(self, events: Sequence[Put | Removed]) -> None:
        for event in events:
            self._log.append(event)
            self._bytes += _size(event)
        self.newest = events[-1].revision
        most_events, most_bytes = self._bound
        while len(self._log) > most_events or (self._bytes > most_bytes and len(self._log) > len(events)):
            self._forget()
        waiting, self._waiting = self._waiting, set()
        for future in waiting:
            if not future.done():
                future.set_result(None)

    def compact(self, revision: int) -> None:
        while self._log and self._log[0].revision <= revision:
            self._forget()
        self.oldest = max(self.oldest, min(revision, self.newest))

    async def watch(self, prefix: str, since: int) -> AsyncIterator[Sequence[Event]]:
        """Raises: Compacted, Lagged."""
        if since < self.oldest:
            raise Compacted(self.oldest)
        place = self._first + sum(event.revision <= since for event in self._log)
        while True:
            if place < self._first:
                raise Lagged(f"a watch of {prefix} fell {self._first - place} events behind what is kept")
            if place == self._first + len(self._log):
                await self._appended()
                continue
            fresh = self._from(place)
            place = self._first + len(self._log)
            found: list[Event] = [event for event in fresh if event.key.startswith(prefix)]
            yield found or [Progress(fresh[-1].revision)]

    def _from(self, place: int) -> list[Put | Removed]:
        # From the right: what is new is at the end, and a deque is slow in its middle.
        count = self._first + len(self._log) - place
        newest_first = [event for event, _ in zip(reversed(self._log), range(count), strict=False)]
        return newest_first[::-1]

    async def _appended(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _forget(self) -> None:
        event = self._log.popleft()
        self._first += 1
        self._bytes -= _size(event)
        self.oldest = event.revision


def _size(event: Put | Removed) -> int:
    return len(event.key) + (len(event.value) if isinstance(event, Put) else 0)
