"""What brings the store's changes to one watch cache: at once, or after a webhook has converted them.

Each served version of a custom resource has a cache of its own and they share their place in the store. Where versions
are converted by a webhook, changes wait in `_backlog` until somebody reads (`settle`) or the state's task gets to them,
and go to the webhook together; the order of changes is kept.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TypeAlias

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.server.registry.cache import Cache
from pylet.server.registry.form import entry_of, stored, type_meta
from pylet.store.interface import Put, Record, Removed

Convert: TypeAlias = Callable[[Kind, str, Sequence[Object]], Awaitable[list[Object]]]
"""Objects of a kind in the version of that name, by the definition's webhook. Raises: ApiError."""


class Feed:
    def __init__(self, cache: Cache, convert: Convert | None, known: dict[int, Object]) -> None:
        """`known` are objects by the identity of their bytes."""
        self.cache = cache
        self.taken = 0
        """Changes that came, since the start."""
        self.filled = 0
        """How often it began with what the store held."""
        self._known = known
        self._convert = convert
        storage = cache.kind.storage
        self._is_converted = storage is not None and storage.conversion is not None and convert is not None
        self._head = type_meta(cache.kind)
        self._backlog: deque[tuple[Put | Removed, Key]] = deque()
        self._since: int | None = None  # None: not filled yet, so that changes have to wait
        self._settling = asyncio.Lock()

    @property
    def waiting(self) -> int:
        """Changes that wait for their conversion."""
        return len(self._backlog)

    @property
    def is_behind(self) -> bool:
        return bool(self._backlog) and self._since is not None

    def seen(self, revision: int) -> int:
        """How far the cache has come when the store has come to `revision`."""
        return self._backlog[0][0].revision - 1 if self._backlog else revision

    async def fill(self, records: Iterable[tuple[Key, Record]], revision: int) -> None:
        """Begin with what a scan at `revision` found, and go on with what came since. Raises: ApiError."""
        rows = list(records)
        values = await self._converted([record.value for _, record in rows])
        kind = self.cache.kind
        entries = [entry_of(kind, value, row.revision) for (_, row), value in zip(rows, values, strict=True)]
        self.cache.start(entries, revision)
        self._since = revision
        self.filled += 1
        while self._backlog and not self._must_wait(self._backlog[0][0]):
            self._apply(*self._backlog.popleft())

    def take(self, event: Put | Removed, key: Key) -> None:
        self.taken += 1
        if self._backlog or self._since is None or self._must_wait(event):
            self._backlog.append((event, key))
        else:
            self._apply(event, key)

    async def settle(self) -> None:
        """Take all that waits. Raises: ApiError, when the webhook fails; what waits then waits on."""
        if not self._backlog:
            return
        async with self._settling:
            while self._backlog:
                batch = list(self._backlog)
                puts = [event.value for event, _ in batch if isinstance(event, Put)]
                values = iter(await self._converted(puts))
                for event, key in batch:
                    fresh = Put(event.key, next(values), event.revision) if isinstance(event, Put) else event
                    self._apply(fresh, key)
                    self._backlog.popleft()
                self.cache.tell()

    def _must_wait(self, event: Put | Removed) -> bool:
        return self._is_converted and isinstance(event, Put) and not event.value.startswith(self._head)

    def _apply(self, event: Put | Removed, key: Key) -> None:
        if self._since is not None and event.revision > self._since:
            entry = None
            if isinstance(event, Put):
                obj = self._known.pop(id(event.value), None)
                entry = entry_of(self.cache.kind, event.value, event.revision, obj, keep=True)
            self.cache.apply(event.revision, key, entry)

    async def _converted(self, values: list[bytes]) -> list[bytes]:
        kind = self.cache.kind
        if not self._is_converted or self._convert is None or kind.storage is None:
            return values
        strange = {at: orjson.loads(value) for at, value in enumerate(values) if not value.startswith(self._head)}
        for obj in strange.values():
            kind.storage.complete(obj)  # the webhook is asked about what its version's defaults make of it
        if strange:
            fresh = await self._convert(kind, kind.version, list(strange.values()))
            for at, obj in zip(strange, fresh, strict=True):
                values[at] = stored(kind, obj)
        return values
