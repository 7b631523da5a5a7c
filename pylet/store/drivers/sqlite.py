"""A store in one SQLite file: one current-state table, one writer, group commit.

Writes are decided against an index of all keys in memory (key → revision), so that checking reads nothing; whatever
arrives while a transaction is being synced to the disk goes into the next one. WAL with synchronous=FULL: what was
acknowledged is on the disk. A transaction that fails takes its writes back out of the index, with all behind them.

Revisions stay monotonic over a crash although volatile writes leave no trace: a ceiling is written ahead in blocks, and
the next start begins there. Values are not kept in memory beyond the bounded history.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote

import aiosqlite

from pylet.store.history import History
from pylet.store.interface import (
    Conflict,
    Event,
    KeyExists,
    KeyMissing,
    Page,
    Put,
    Record,
    Removed,
    StoreError,
    WriteFailed,
)

_BLOCK = 100_000  # revisions reserved by one write of the ceiling
_GROUP = 1000  # writes in one transaction, so that no transaction grows without a bound
_WAITING = 10_000

_SCHEMA = """
CREATE TABLE IF NOT EXISTS records (key TEXT NOT NULL UNIQUE, value BLOB NOT NULL, revision INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS ceiling (revision INTEGER NOT NULL);
"""
_PRAGMAS = (
    "PRAGMA page_size=4096",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    "PRAGMA wal_autocheckpoint=1000",
    "PRAGMA cache_size=-2048",
    "PRAGMA secure_delete=ON",  # free space says nothing of what was deleted or encrypted
)
_UPSERT = (
    "INSERT INTO records (key, value, revision) VALUES (?, ?, ?) "
    "ON CONFLICT (key) DO UPDATE SET value = excluded.value, revision = excluded.revision"
)


@dataclass(slots=True)
class _Write:
    """One accepted write on its way to the disk; `before` is what the index said, None for a new key; `done` tells
    whoever waits, for the last of what was asked together."""

    event: Put | Removed
    before: int | None
    done: asyncio.Future[int] | None


class SqliteStore:
    def __init__(
        self, connection: aiosqlite.Connection, index: dict[str, int], ceiling: int, volatile: tuple[str, ...]
    ) -> None:
        self._connection = connection
        self._index = index
        self._volatile = volatile
        self._in_memory: dict[str, bytes] = {}
        self._revision = ceiling  # given out; the history's newest is what has been committed
        self._ceiling = ceiling
        self._history = History(ceiling)
        self._accepted: list[_Write] = []
        self._work = asyncio.Event()
        self._closing = False
        self._writer = asyncio.create_task(self._write_groups(), name="store writer")

    @property
    def revision(self) -> int:
        return self._history.newest

    async def get(self, key: str) -> Record | None:
        if key.startswith(self._volatile):
            return self._volatile_record(key)
        async with self._connection.execute("SELECT value, revision FROM records WHERE key = ?", (key,)) as rows:
            row = await rows.fetchone()
        return None if row is None else Record(key, row[0], row[1])

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        revision = self.revision
        last = prefix + "\U0010ffff"
        query = "SELECT key, value, revision FROM records WHERE key >= ? AND key > ? AND key < ? ORDER BY key LIMIT ?"
        bounds = (prefix, after, last, -1 if limit is None else limit)
        async with self._connection.execute(query, bounds) as rows:
            records = [Record(*row) for row in await rows.fetchall()]
        if self._in_memory:
            keys = (key for key in self._in_memory if key.startswith(prefix) and key > after)
            records += [record for key in keys if (record := self._volatile_record(key)) is not None]
            records = sorted(records, key=lambda record: record.key)[:limit]
        return Page(records, revision)

    async def create(self, key: str, value: bytes) -> int:
        if key in self._index:
            raise KeyExists(key)
        return await self._accept(Put(key, value, self._revision + 1))

    async def update(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        self._check(key, expect)
        return await self._accept(Put(key, value, self._revision + 1))

    async def delete(self, key: str, *, expect: int | None = None, last: bytes | None = None) -> int:
        self._check(key, expect)
        if last is None:
            return await self._accept(Removed(key, self._revision + 1))
        return await self._accept(Put(key, last, self._revision + 1), Removed(key, self._revision + 2))

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Sequence[Event]]:
        return self._history.watch(prefix, since)

    async def compact(self, revision: int) -> None:
        self._history.compact(revision)
        async with self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)") as rows:
            await rows.fetchall()  # a statement left open would keep later writes from committing

    async def close(self) -> None:
        self._closing = True
        self._work.set()
        await self._writer
        await self._connection.close()

    # ---- accepting: no await between the check and the index, so that nobody comes between

    def _check(self, key: str, expect: int | None) -> None:
        current = self._index.get(key)
        if current is None:
            raise KeyMissing(key)
        if expect is not None and current != expect:
            raise Conflict(key, current)

    def _accept(self, *events: Put | Removed) -> asyncio.Future[int]:
        """All of them, or none; what comes of it is the revision of the last."""
        if self._closing:
            raise StoreError("the store is closed")
        if len(self._accepted) + len(events) > _WAITING:
            raise WriteFailed(f"{_WAITING} writes are waiting for the disk")
        done: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        for event in events:
            self._accepted.append(_Write(event, self._index.get(event.key), done if event is events[-1] else None))
            self._revision = event.revision
            if isinstance(event, Put):
                self._index[event.key] = event.revision
            else:
                del self._index[event.key]
        self._work.set()
        return done

    # ---- the writer

    async def _write_groups(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            while self._accepted:
                group, self._accepted = self._accepted[:_GROUP], self._accepted[_GROUP:]
                try:
                    await self._commit([write.event for write in group])
                except (sqlite3.Error, OSError) as failed:
                    self._take_back(group, failed)
                else:
                    self._acknowledge(group)
            if self._closing:
                return

    async def _commit(self, events: list[Put | Removed]) -> None:
        last = {event.key: event for event in events}  # what a key was meanwhile never reaches the disk
        durable = [event for event in last.values() if not event.key.startswith(self._volatile)]
        ceiling = self._ceiling
        if events[-1].revision > ceiling:
            ceiling = events[-1].revision + _BLOCK
        if durable or ceiling != self._ceiling:
            # One call into the connection's thread for the whole transaction: a call costs 60 µs, a statement 5.
            await self._connection._execute(_transaction, self._connection._conn, durable, ceiling, self._ceiling)  # type: ignore[no-untyped-call]
        self._ceiling = ceiling

    def _acknowledge(self, group: list[_Write]) -> None:
        for write in group:
            event = write.event
            if event.key.startswith(self._volatile):
                if isinstance(event, Put):
                    self._in_memory[event.key] = event.value
                else:
                    del self._in_memory[event.key]
        self._history.publish([write.event for write in group])
        for write in group:
            if write.done is not None and not write.done.done():
                write.done.set_result(write.event.revision)

    def _take_back(self, group: list[_Write], failed: Exception) -> None:
        # Writes accepted meanwhile were judged against this group, so they fail with it, the newest first.
        lost, self._accepted = [*group, *self._accepted], []
        for write in reversed(lost):
            if write.before is None:
                self._index.pop(write.event.key, None)
            else:
                self._index[write.event.key] = write.before
            if write.done is not None and not write.done.done():
                write.done.set_exception(WriteFailed(f"write {write.event.key}: {failed}"))

    def _volatile_record(self, key: str) -> Record | None:
        value = self._in_memory.get(key)
        return None if value is None else Record(key, value, self._index[key])


def _transaction(connection: sqlite3.Connection, events: list[Put | Removed], ceiling: int, known: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for event in events:
            if isinstance(event, Put):
                connection.execute(_UPSERT, (event.key, event.value, event.revision))
            else:
                connection.execute("DELETE FROM records WHERE key = ?", (event.key,))
        if ceiling != known:
            connection.execute("UPDATE ceiling SET revision = ?", (ceiling,))
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


class Driver:
    async def open(self, url: SplitResult, volatile: tuple[str, ...]) -> SqliteStore:
        """`sqlite:///absolute/path`. Raises: StoreError."""
        path = Path(unquote(url.path))
        try:
            connection = await aiosqlite.connect(path, isolation_level=None)
        except sqlite3.Error as failed:
            raise StoreError(f"open {path}: {failed}") from failed
        try:
            for pragma in _PRAGMAS:
                await connection.execute(pragma)
            await connection.executescript(_SCHEMA)
            async with connection.execute("SELECT revision FROM ceiling") as rows:
                row = await rows.fetchone()
            if row is None:
                await connection.execute("INSERT INTO ceiling VALUES (0)")
            async with connection.execute("SELECT key, revision FROM records") as rows:
                index = {key: revision async for key, revision in rows}
        except sqlite3.Error as failed:
            await connection.close()
            raise StoreError(f"open {path}: {failed}") from failed
        return SqliteStore(connection, index, row[0] if row is not None else 0, volatile)


DRIVER = Driver()
