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
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import partial

from pylet.aio.paced import Paced
from pylet.api.errors import ApiError, Timeout
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.server.registry import caches_counted
from pylet.server.registry.cache import Cache
from pylet.server.registry.feed import Convert, Feed
from pylet.server.registry.form import Layout, stored
from pylet.store.interface import Compacted, Conflict, KeyMissing, Lagged, Progress, Put, Record, Removed, Store

log = logging.getLogger(__name__)

_FRESH_SECONDS = 3  # how long a client may be ahead of the cache
_MINUTE_SECONDS = 60
_EVENT_MINUTES = 60  # upstream's --event-ttl
_MOST_WAITING = 10_000  # changes a webhook that fails may leave behind
_RETRY_SECONDS = 1  # after a conversion that failed
_COMPACT_MINUTES = 5  # upstream's etcd compaction interval: how long continue tokens live


class State:
    """`caches` are those of the built-in kinds, and of custom ones from their first use on."""

    def __init__(self, store: Store, kinds: Iterable[Kind]) -> None:
        self.store = store
        self.revision = 0
        self.caches: dict[Kind, Cache] = {}
        self.convert: Convert | None = None
        """Converts custom objects by their webhook."""
        self.known: dict[int, Object] = {}
        """What is being written here, by the identity of its bytes: to decode it again is a twentieth of a pod's
        creation, to let go of one of the two as much again."""
        self._feeds: dict[Kind, Feed] = {}
        self._by_prefix: dict[str, list[Feed]] = {}
        self._behind = asyncio.Event()
        self._settling: set[Feed] = set()
        self._loading: dict[Kind, asyncio.Lock] = {}
        for kind in kinds:
            self.caches[kind] = self._feed(kind).cache
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    async def load(self) -> None:
        """Fill the caches with what the store holds."""
        found: dict[Feed, list[tuple[Key, Record]]] = {feed: [] for feed in self._feeds.values()}
        records, self.revision = await self.store.scan(Layout.ROOT)
        for record in records:
            feeds, key = self._place(record.key)
            for feed in feeds:
                found[feed].append((key, record))
        for feed, rows in found.items():
            await feed.fill(rows, self.revision)

    async def cache_of(self, kind: Kind) -> Cache:
        """The kind's cache, up to date; a custom kind's is filled now if it was not yet. Raises: ApiError."""
        cache = self.caches.get(kind)
        if cache is None:
            async with self._loading.setdefault(kind, asyncio.Lock()):
                cache = self.caches.get(kind) or await self._fill(kind)
        if kind.storage is not None and kind in self._feeds:
            await self._feeds[kind].settle()
        return cache

    async def _fill(self, kind: Kind) -> Cache:
        feed = self._feed(kind)
        try:
            records, revision = await self.store.scan(Layout.prefix(kind))
            await feed.fill(((self._place(record.key)[1], record) for record in records), revision)
        except BaseException:
            self.drop(kind)
            raise
        await self.reached(revision)
        self.caches[kind] = feed.cache
        return feed.cache

    def drop(self, kind: Kind) -> None:
        """Forget a custom kind that is not served any more, and end its watches."""
        feed = self._feeds.pop(kind, None)
        self._loading.pop(kind, None)
        if feed is not None:
            self.caches.pop(kind, None)
            feeds = self._by_prefix[Layout.prefix(kind)]
            feeds.remove(feed)
            if not feeds:
                del self._by_prefix[Layout.prefix(kind)]
            feed.cache.close()

    async def encoded(self, kind: Kind, obj: Object) -> bytes:
        """The bytes to store of an object of that kind: of the version its definition stores. Raises: ApiError."""
        storage = kind.storage
        if storage is None or storage.version == kind.version:
            return stored(kind, obj)
        if storage.conversion is not None and self.convert is not None:
            obj = (await self.convert(kind, storage.version, [obj]))[0]
        return stored(kind, storage.renamed(obj))

    async def run(self) -> None:
        """Follow the store; bookmarks, compaction and the end of Events happen by the minute."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow())
            group.create_task(self._by_the_minute())
            group.create_task(self._settle())

    def metrics(self) -> Iterator[str]:
        return caches_counted.lines(self._feeds.values(), self.caches.values())

    async def reached(self, revision: int) -> None:
        """Wait until the caches have taken everything up to `revision`."""
        if revision > self.revision:
            place = revision, next(self._order), asyncio.get_running_loop().create_future()
            heapq.heappush(self._waiting, place)
            try:
                await place[2]
            except asyncio.CancelledError:
                if place in self._waiting:  # which may never be reached
                    self._waiting.remove(place)
                    heapq.heapify(self._waiting)
                raise

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
                f"Timeout: Too large resource version: {revision}, current: {self.revision}",
                details={"causes": [cause], "retryAfterSeconds": 1},
            ) from late

    async def _follow(self) -> None:
        while True:
            try:
                async for events in self.store.watch(Layout.ROOT, since=self.revision):
                    self._take([event for event in events if not isinstance(event, Progress)], events[-1].revision)
            except (Lagged, Compacted) as behind:
                log.warning("the watch cache reads the store again: %s", behind)
                await self._catch_up()

    def _take(self, events: Iterable[Put | Removed], revision: int) -> None:
        """Bring the caches to `revision`, and have them tell of it before those who wait for it answer: what a client
        has been told of its own write should not be ahead of what it watches."""
        concerned: dict[Feed, None] = {}
        for event in events:
            feeds, key = self._place(event.key)
            for feed in feeds:
                feed.take(event, key)
                concerned[feed] = None
                if feed.is_behind:
                    self._behind.set()
        self._advance(revision)
        for feed in concerned:
            feed.cache.tell()

    async def _settle(self) -> None:
        """Have conversions done that nobody waits for, as watchers do not ask: each kind's by itself, so that none
        waits for a webhook that is another's."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._behind.wait()
                self._behind.clear()
                for feed in self._feeds.values():
                    if feed.is_behind and feed not in self._settling:
                        self._settling.add(feed)
                        group.create_task(self._bring_up(feed))

    async def _bring_up(self, feed: Feed) -> None:
        kind = feed.cache.kind
        try:
            while feed.is_behind and self._feeds.get(kind) is feed:
                try:
                    await feed.settle()
                except ApiError as failed:
                    log.warning("%s: %s; again in %d s", kind, failed.message, _RETRY_SECONDS)
                    if feed.waiting > _MOST_WAITING:
                        self.drop(kind)  # read anew when somebody asks again
                    await asyncio.sleep(_RETRY_SECONDS)
        finally:
            self._settling.discard(feed)

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
        self._take(missed, revision)

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
                cache.bookmark()
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

    def _feed(self, kind: Kind) -> Feed:
        pace = partial(Paced, asyncio.get_running_loop().call_later)
        cache = Cache(kind, pace, lambda: feed.seen(self.revision))
        feed = self._feeds[kind] = Feed(cache, self.convert, self.known)
        self._by_prefix.setdefault(Layout.prefix(kind), []).append(feed)
        return feed

    def _place(self, path: str) -> tuple[Sequence[Feed], Key]:
        """Whose path it is; nobody's when its kind is not served."""
        _, _, group, plural, rest = path.split("/", 4)
        namespace, _, name = rest.rpartition("/")
        return self._by_prefix.get(f"/registry/{group}/{plural}/", ()), Key(namespace, name)
