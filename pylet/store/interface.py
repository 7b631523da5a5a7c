"""Bytes in, revisions out: what every store is. It knows nothing of what the bytes mean.

One global revision grows with every write and never goes back, also over a crash. Values are kept as they are given;
a reader who wants the revision inside adds it. An acknowledged write survives power loss, except under a volatile
prefix: those keys live in memory only, yet share revisions and watches with the others.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias


class StoreError(Exception):
    """The store could not do what was asked."""


class KeyExists(StoreError):
    """`create` of a key that is there."""


class KeyMissing(StoreError):
    """`update` or `delete` of a key that is not there."""


class Conflict(StoreError):
    """Somebody else wrote first: the key is at revision `current`."""

    def __init__(self, key: str, current: int) -> None:
        super().__init__(f"{key} is at revision {current}")
        self.current = current


class Compacted(StoreError):
    """The history asked for is gone; it begins after revision `oldest`."""

    def __init__(self, oldest: int) -> None:
        super().__init__(f"history begins after revision {oldest}")
        self.oldest = oldest


class Lagged(StoreError):
    """The reader was too slow and was dropped: start again from a scan."""


class WriteFailed(StoreError):
    """The medium refused the write (disk full, I/O error); nothing of it was kept."""


@dataclass(frozen=True, slots=True)
class Record:
    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Put:
    key: str
    value: bytes
    revision: int


@dataclass(frozen=True, slots=True)
class Removed:
    key: str
    revision: int


@dataclass(frozen=True, slots=True)
class Progress:
    """Nothing under the prefix changed up to this revision."""

    revision: int


Event: TypeAlias = Put | Removed | Progress


class Page(NamedTuple):
    """Records in key order, and the revision they were all current at."""

    records: list[Record]
    revision: int


class Store(Protocol):
    @property
    def revision(self) -> int:
        """The revision of the last write."""
        ...

    async def get(self, key: str) -> Record | None: ...

    async def scan(self, prefix: str, *, after: str = "", limit: int | None = None) -> Page:
        """Records whose key begins with `prefix` and lies behind `after`."""
        ...

    async def create(self, key: str, value: bytes) -> int:
        """The new revision. Raises: KeyExists, WriteFailed."""
        ...

    async def update(self, key: str, value: bytes, *, expect: int | None = None) -> int:
        """The new revision; `expect` is the revision the key must be at. Raises: KeyMissing, Conflict, WriteFailed."""
        ...

    async def delete(self, key: str, *, expect: int | None = None, last: bytes | None = None) -> int:
        """The revision of the removal; watchers see the key take the value `last` before it goes.

        Raises: KeyMissing, Conflict, WriteFailed.
        """
        ...

    def watch(self, prefix: str, *, since: int) -> AsyncIterator[Sequence[Event]]:
        """What happened after revision `since`, in order, one commit's events together.

        Raises: Compacted, Lagged.
        """
        ...

    async def compact(self, revision: int) -> None:
        """Forget history up to `revision`."""
        ...

    async def close(self) -> None:
        """Finish what was accepted, then let go of the medium."""
        ...
