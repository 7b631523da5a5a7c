"""All watch caches together: filled from the store, kept by one store watch, in one order for all kinds.

Invariant: `revision` only grows, and every cache has taken every change up to it. A write returns after `reached` its
revision, so whoever reads the caches afterwards sees it.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
from collections.abc import Iterable

from pylet.api.errors import Timeout
from pylet.api.kind import Kind
from pylet.api.object import Key
from pylet.server.registry.cache import Cache
from pylet.server.registry.form import Layout, entry_of
from pylet.store.interface import Progress, Put, Store

_FRESH_SECONDS = 3  # how long a client may be ahead of the cache
_BOOKMARK_SECONDS = 60
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
        """Follow the store; bookmarks and compaction happen by the minute."""
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
        async for events in self.store.watch(Layout.ROOT, since=self.revision):
            for event in events:
                if isinstance(event, Progress):
                    continue
                place = self._place(event.key)
                if place is not None:
                    cache, key = place
                    entry = entry_of(cache.kind, event.value, event.revision) if isinstance(event, Put) else None
                    cache.apply(event.revision, key, entry)
            self._advance(events[-1].revision)

    def _advance(self, revision: int) -> None:
        self.revision = revision
        waiting = self._waiting
        while waiting and waiting[0][0] <= revision:
            future = heapq.heappop(waiting)[2]
            if not future.done():
                future.set_result(None)

    async def _by_the_minute(self) -> None:
        past: list[int] = [self.revision]
        while True:
            await asyncio.sleep(_BOOKMARK_SECONDS)
            past = [*past[-_COMPACT_MINUTES:], self.revision]
            for cache in self.caches.values():
                cache.bookmark(self.revision)
                if len(past) > _COMPACT_MINUTES:
                    cache.compact(past[0])

    def _place(self, path: str) -> tuple[Cache, Key] | None:
        """Whose path it is; None for a kind nobody serves any more."""
        _, _, group, plural, rest = path.split("/", 4)
        cache = self._by_prefix.get(f"/registry/{group}/{plural}/")
        if cache is None:
            return None
        namespace, _, name = rest.rpartition("/")
        return cache, Key(namespace, name)
