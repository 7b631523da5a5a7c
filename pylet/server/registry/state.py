"""All watch caches together: filled from the store, kept by one store watch, in one order for all kinds.

Invariant: `revision` only grows, and every cache has taken every change up to it. A write returns after `reached` its
revision, so whoever reads the caches afterwards sees it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import deque
from collections.abc import Iterable
from contextlib import suppress

from pylet.api.errors import Timeout
from pylet.api.kind import Kind
from pylet.api.object import Key
from pylet.server.registry.cache import Cache
from pylet.server.registry.form import Layout, entry_of
from pylet.store.interface import Compacted, Conflict, KeyMissing, Lagged, Progress, Put, Removed, Store

log = logging.getLogger(__name__)

_FRESH_SECONDS = 3  # how long a client may be ahead of the cache
_MINUTE_SECONDS = 60
_EVENT_MINUTES = 60  # upstream's --event-ttl
_COMPACT_MINUTES = 5  # upstream's etcd compaction interval: how long continue tokens live


class State:
    def __init__(self, store: Store, kinds: Iterable[Kind]) -> None:
        self.store = store
        self.revision = 0
        loop = asyncio.get_running_loop()
        self.caches = {kind: Cache(kind, loop.call_soon) for kind in kinds}
        self._by_prefix = {Layout.prefix(kind): cache for kind, cache in self.caches.items()}
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def load(self) -> None:
        """Fill the caches with what the store holds."""
        found: dict[Cache, list[tuple[Key, int, bytes]]] = {cache: [] for cache in self.caches.values()}
        records, self.revision = await self.store.scan(Layout.ROOT)
        for record in records:
            if (place := self._place(record.key)) is not None:
                cache, key = place
                found[cache].append((key, record.revision, record.value))
        for cache, rows in found.items():
            cache.start((entry_of(cache.kind, value, revision) for _, revision, value in rows), self.revision)

    async def run(self) -> None:
        """Follow the store; bookmarks, compaction and the end of Events happen by the minute."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._by_the_minute())

    async def reached(self, revision: int) -> None:
        """Wait until the caches have taken everything up to `revision`."""
        if revision > self.revision:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, (revision, next(self._order), future))
            await future

    async def fresh(self, revision: int) -> None:
        """As `reached`, for a revision a client named. Raises: Timeout when it lies in the future."""
        if revision <= self.revision:
            return
        try:
            async with asyncio.timeout(_FRESH_SECONDS):
                await self.reached(revision)
        except TimeoutError as late:
            cause = {"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}
            raise Timeout(
                f"Too large resource version: {revision}, current: {self.revision}",
                details={"causes": [cause], "retryAfterSeconds": 1},
            ) from late

    async def _follow(self) -> None:
        while True:
            try:
                async for events in self.store.watch(Layout.ROOT, since=self.revision):
                    for event in events:
                        if not isinstance(event, Progress):
                            self._take(event)
                    self._advance(events[-1].revision)
            except (Lagged, Compacted) as behind:
                log.warning("the watch cache reads the store again: %s", behind)
                await self._catch_up()

    def _take(self, event: Put | Removed) -> None:
        place = self._place(event.key)
        if place is not None:
            cache, key = place
            entry = entry_of(cache.kind, event.value, event.revision) if isinstance(event, Put) else None
            cache.apply(event.revision, key, entry)

    async def _catch_up(self) -> None:
        """Take what a scan shows instead of the events that were missed; what happened in between is not told."""
        records, revision = await self.store.scan(Layout.ROOT)
        present = {record.key for record in records}
        missed: list[Put | Removed] = [
            Put(record.key, record.value, record.revision) for record in records if record.revision > self.revision
        ]
        missed.sort(key=lambda event: event.revision)
        for cache in self.caches.values():
            gone = [key for key in cache.table.entries if Layout.place(cache.kind, key) not in present]
            missed += [Removed(Layout.place(cache.kind, key), revision) for key in gone]
        for event in missed:
            self._take(event)
        self._advance(revision)

    def _advance(self, revision: int) -> None:
        self.revision = revision
        waiting = self._waiting
        while waiting and waiting[0][0] <= revision:
            future = heapq.heappop(waiting)[2]
            if not future.done():
                future.set_result(None)

    async def _by_the_minute(self) -> None:
        past: deque[int] = deque([self.revision], maxlen=_EVENT_MINUTES + 1)  # what was reached, each minute
        while True:
            await asyncio.sleep(_MINUTE_SECONDS)
            past.append(self.revision)
            for cache in self.caches.values():
                cache.bookmark(self.revision)
                if len(past) > _COMPACT_MINUTES:
                    cache.compact(past[-1 - _COMPACT_MINUTES])
            if len(past) > _EVENT_MINUTES:
                await self.expire_events(past[0])

    async def expire_events(self, revision: int) -> None:
        """Remove the Events last written up to `revision`."""
        for kind, cache in self.caches.items():
            if kind.resource != "events":
                continue
            old = [entry for entry in cache.table.entries.values() if entry.revision <= revision]
            for entry in old:
                with suppress(KeyMissing, Conflict):  # somebody has just told it again, or deleted it
                    await self.store.delete(Layout.place(kind, entry.key), expect=entry.revision)

    def _place(self, path: str) -> tuple[Cache, Key] | None:
        """Whose path it is; None for a kind nobody serves any more."""
        _, _, group, plural, rest = path.split("/", 4)
        cache = self._by_prefix.get(f"/registry/{group}/{plural}/")
        if cache is None:
            return None
        namespace, _, name = rest.rpartition("/")
        return cache, Key(namespace, name)
