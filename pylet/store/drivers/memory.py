"""A store in memory: the specification the other drivers are measured against, and what tests and simulations use."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from urllib.parse import SplitResult

from pylet.store.history import History
from pylet.store.interface import Conflict, Event, KeyExists, KeyMissing, Page, Put, Record, Removed


class MemoryStore:
    def __init__(self) -> None:
        self._records: dict[str, Record] = {}
        self._history = History(0)

    @property
    def revision(self) -> int:
        return self._history.newest

    async def get(self, key: str) -> Record | None:
        return self._records.get(key)

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        keys = sorted(key for key in self._records if key.startswith(prefix) and key > after)
        return Page([self._records[key] for key in keys[:limit]], self.revision)

    async def create(self, key: str, value: bytes) -> int:
        if key in self._records:
            raise KeyExists(key)
        return self._put(key, value)

    async def update(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        self._check(key, expect)
        return self._put(key, value)

    async def delete(self, key: str, *, expect: int | None = None, last: bytes | None = None) -> int:
        self._check(key, expect)
        if last is not None:
            self._put(key, last)
        del self._records[key]
        removed = Removed(key, self.revision + 1)
        self._history.publish([removed])
        return removed.revision

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Sequence[Event]]:
        return self._history.watch(prefix, since)

    async def compact(self, revision: int) -> None:
        self._history.compact(revision)

    async def close(self) -> None:
        self._records.clear()

    def _put(self, key: str, value: bytes) -> int:
        put = Put(key, value, self.revision + 1)
        self._records[key] = Record(key, value, put.revision)
        self._history.publish([put])
        return put.revision

    def _check(self, key: str, expect: int | None) -> None:
        current = self._records.get(key)
        if current is None:
            raise KeyMissing(key)
        if expect is not None and current.revision != expect:
            raise Conflict(key, current.revision)


class Driver:
    async def open(self, url: SplitResult, volatile: tuple[str, ...]) -> MemoryStore:
        return MemoryStore()


DRIVER = Driver()
