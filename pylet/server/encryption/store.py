"""A store whose values are sealed on their way down and opened on their way up.

Keys and revisions are not hidden. Values no rule concerns pass untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import replace

from pylet.server.encryption.ciphers import Unreadable
from pylet.server.encryption.configuration import Rules
from pylet.store.interface import Conflict, Event, KeyMissing, Page, Put, Record, Store, StoreError

_AT_ONCE = 64  # rewrites that may share a commit


class EncryptedStore:
    """`rules` may be replaced while it is used; `rewrite` then brings what is kept in line."""

    def __init__(self, store: Store, rules: Rules) -> None:
        self._store = store
        self.rules = rules

    @property
    def revision(self) -> int:
        return self._store.revision

    async def get(self, key: str) -> Record | None:
        record = await self._store.get(key)
        return None if record is None else replace(record, value=self._opened(key, record.value))

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        page = await self._store.scan(prefix, after=after, limit=limit)
        return Page([replace(one, value=self._opened(one.key, one.value)) for one in page.records], page.revision)

    async def create(self, key: str, value: bytes) -> int:
        return await self._store.create(key, self._sealed(key, value))

    async def update(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        return await self._store.update(key, self._sealed(key, value), expect=expect)

    async def delete(self, key: str, *, expect: int | None = None, last: bytes | None = None) -> int:
        sealed = None if last is None else self._sealed(key, last)
        return await self._store.delete(key, expect=expect, last=sealed)

    async def watch(self, prefix: str, *, since: int) -> AsyncIterator[Sequence[Event]]:
        async for events in self._store.watch(prefix, since=since):
            yield [
                replace(event, value=self._opened(event.key, event.value)) if isinstance(event, Put) else event
                for event in events
            ]

    async def compact(self, revision: int) -> None:
        await self._store.compact(revision)

    async def close(self) -> None:
        await self._store.close()

    async def rewrite(self, prefix: str) -> int:
        """Write anew what the first key of its rule did not seal; how many values that were. Raises: StoreError."""
        records, _ = await self._store.scan(prefix)
        stale = [record for record in records if self._is_stale(record)]
        for start in range(0, len(stale), _AT_ONCE):
            await asyncio.gather(*(self._rewrite(record) for record in stale[start : start + _AT_ONCE]))
        if stale:
            await self._store.compact(0)  # leaves nothing of what was there before
        return len(stale)

    async def _rewrite(self, record: Record) -> None:
        value = self._opened(record.key, record.value)
        with suppress(KeyMissing, Conflict):  # written since, so sealed with the first key
            await self._store.update(record.key, self._sealed(record.key, value), expect=record.revision)

    def _is_stale(self, record: Record) -> bool:
        keys = self.rules.keys_of(record.key)
        return keys is not None and keys.open(record.value, record.key).is_stale

    def _sealed(self, key: str, value: bytes) -> bytes:
        keys = self.rules.keys_of(key)
        return value if keys is None else keys.seal(value, key)

    def _opened(self, key: str, kept: bytes) -> bytes:
        keys = self.rules.keys_of(key)
        if keys is None:
            return kept
        try:
            return keys.open(kept, key).value
        except Unreadable as bad:
            raise StoreError(f"cannot decrypt {key}: {bad or 'the key does not fit'}") from bad
