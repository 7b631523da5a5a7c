"""What has been decided is kept or removed by the store: encoded once, compared and swapped, shown by the caches.

Whoever loses a race is told (`store.Conflict`, KeyMissing, KeyExists), and may look again once the caches `reached` it.
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.api.errors import InternalError
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.registry.cache import Cache
from pylet.server.registry.counted import StoreTimes
from pylet.server.registry.form import Layout, entry_of, headed, stored, written
from pylet.server.registry.ownership import OtherError
from pylet.server.registry.state import State
from pylet.store import interface as store

_MOST_CUSTOM_BYTES = 3 << 19  # what etcd takes
_MOST_BYTES = 3 << 20  # as JSON, whose quotation marks and ends of lines take more than upstream's protobuf


class Keeper:
    def __init__(self, state: State) -> None:
        self._state = state
        self._store = state.store
        self._times = StoreTimes()

    def metrics(self) -> Iterator[str]:
        yield from self._times.lines()

    async def keep(self, cache: Cache, key: Key, obj: Object, before: Entry | None = None) -> Entry:
        """Have the store keep `obj`, which nobody changes any more, in the place of what was `before`: no matter if it
        was made otherwise. Raises: StoreError, ApiError."""
        kind, whole = cache.kind, headed(cache.kind, obj)
        value = kept = written(kind, whole)
        if len(value) > (_MOST_BYTES if kind.storage is None else _MOST_CUSTOM_BYTES):
            raise OtherError("etcdserver: request is too large")
        if kind.storage is None:
            self._state.known[id(value)] = whole
        else:
            kept = await self._state.encoded(kind, obj)
        place = Layout.place(kind, key)
        try:
            if before is None:
                revision = await self._times.of("create", kind, self._store.create(place, kept))
            else:
                revision = await self._times.of("update", kind, self._store.update(place, kept, expect=before.revision))
            await self._state.reached(revision)
        except store.WriteFailed as failed:
            raise _not_written(failed) from failed
        finally:
            self._state.known.pop(id(value), None)
        entry = cache.table.entries.get(key)
        if entry is not None and entry.revision == revision:
            return entry
        return entry_of(kind, value, revision)  # somebody has written again since

    async def remove(self, cache: Cache, entry: Entry, last: Object | None = None) -> None:
        """`last` is how watchers see the object before, where that is news. Raises: StoreError, ApiError."""
        kind = cache.kind
        shown = None if last is None else stored(kind, last)
        removing = self._store.delete(Layout.place(kind, entry.key), expect=entry.revision, last=shown)
        try:
            await self._state.reached(await self._times.of("delete", kind, removing))
        except store.WriteFailed as failed:
            raise _not_written(failed) from failed


def _not_written(failed: store.WriteFailed) -> InternalError:
    return InternalError(f"the store refused the write: {failed}")
