"""Pictures of the cluster that deciding code reads: a Table per kind, a View over the tables. No I/O.

A Table is filled by an informer over HTTP, or is the server's own watch cache: both look the same to a reader. Entries
keep the encoded bytes and what is needed to select; decoding is lazy, shared and bounded (10,000 pods are 263 MB as
dicts and 53 MB as bytes). Objects that come out are shared: nobody changes them.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping
from sys import intern
from typing import Any, TypeAlias

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Key, Object

_EMPTY: dict[str, str] = {}
_DECODED_BOUND_BYTES = 2 << 20  # of JSON; as dicts about five times that


class Entry:
    """One object at one revision: bytes, selection data, and the decoded object when somebody asked for it."""

    __slots__ = ("_object", "fields", "gist", "key", "labels", "owner_uids", "parts", "raw", "revision", "uid")

    def __init__(
        self,
        key: Key,
        revision: int,
        raw: bytes,
        uid: str,
        labels: Mapping[str, str],
        fields: tuple[str, ...],
        owner_uids: tuple[str, ...],
    ) -> None:
        self.key = key
        self.revision = revision
        self.raw = raw
        self.uid = uid
        self.labels = labels
        self.fields = fields
        self.owner_uids = owner_uids
        self.parts: Any = None
        """What whoever shows it has found in it, to be kept as long as it is."""
        self.gist: Any = None
        """What whoever decides by it has found in it, likewise."""
        self._object: Object | None = None

    @classmethod
    def of(cls, kind: Kind, obj: Object, raw: bytes | None = None, *, keep: bool = False) -> Entry:
        """An entry for `obj`, whose JSON is `raw`; words that recur are kept once.

        `keep`: nobody will change `obj`, and readers of the entry come soon, so it need not be decoded again.
        """
        meta = obj["metadata"]
        entry = cls(
            Key(intern(meta.get("namespace", "")), meta["name"]),
            int(meta.get("resourceVersion") or 0),
            encoded(obj) if raw is None else raw,
            meta.get("uid", ""),
            {intern(name): intern(value) for name, value in labels.items()}
            if (labels := meta.get("labels"))
            else _EMPTY,
            tuple([intern(read(obj)) for read in kind.fields.values()]),
            tuple([owner["uid"] for owner in meta.get("ownerReferences") or ()]),
        )
        if keep:
            entry._object = obj
            _decoded.add(entry)
        return entry

    def share(self, before: Entry) -> None:
        """Have what both say once: a history holds every revision of an object."""
        self.key = before.key
        if self.uid == before.uid:
            self.uid = before.uid
        if self.labels == before.labels:
            self.labels = before.labels
        if self.fields == before.fields:
            self.fields = before.fields
        if self.owner_uids == before.owner_uids:
            self.owner_uids = before.owner_uids

    def decoded(self) -> Object:
        """As `object`, for who reads each entry once: nothing more is kept of it."""
        return self._object or orjson.loads(self.raw)

    @property
    def object(self) -> Object:
        """The decoded object, shared by all readers: never change it."""
        found = self._object
        if found is None:
            found = self._object = orjson.loads(self.raw)
            _decoded.add(self)
        return found


def encoded(value: Any) -> bytes:
    """JSON to be kept: orjson's own bytes keep the buffer they were written to, 4 KiB for half of one, 9 for 5."""
    return bytes(memoryview(orjson.dumps(value)))


class _Decoded:
    """The entries that hold a decoded object: first in, first out, so that what is cold does not stay."""

    def __init__(self) -> None:
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._old = 0

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._bytes += len(entry.raw)
        while self._bytes > _DECODED_BOUND_BYTES and len(self._entries) > 2:  # before and after
            self._forget()

    def age(self) -> None:
        for _ in range(self._old):
            self._forget()
        self._old = len(self._entries)

    def _forget(self) -> None:
        oldest = self._entries.popleft()
        self._bytes -= len(oldest.raw)
        self._old = max(0, self._old - 1)
        oldest._object = None


_decoded = _Decoded()


def age() -> None:
    """Keep of decoded objects only what was decoded since the last call: who is quiet shall be small."""
    _decoded.age()


Listener = Callable[[Entry | None, Entry | None], None]
"""Called with (before, after) on each change, in revision order, synchronously: it must be quick and not raise."""


_Index: TypeAlias = dict[str, dict[Key, "Entry"]]


class Table:
    """All objects of one kind (or a selection of them), by key, namespace and owner uid, and by the selectable fields
    and labels that somebody asked for: an index nobody reads would cost 100 bytes an object."""

    def __init__(self, kind: Kind) -> None:
        self.kind = kind
        self.revision = 0
        self.entries: dict[Key, Entry] = {}
        self._namespaces: dict[str, dict[Key, Entry]] = {}
        self._owned: dict[str, dict[Key, Entry]] = {}
        self._positions = {field: position for position, field in enumerate(kind.fields)}
        self._fields: dict[int, _Index] = {}
        self._labels: dict[str, dict[Key, tuple[Entry, ...]]] = {}
        self._listeners: list[Listener] = []
        self._unsaid: list[Callable[[], None]] | None = None  # while the entries are remembered: who waits

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Hear of every later change; returns how to stop."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def put(self, entry: Entry) -> None:
        before = self.entries.get(entry.key)
        self.entries[entry.key] = entry
        self._index(before, entry)
        self.revision = max(self.revision, entry.revision)
        for listener in self._listeners:
            listener(before, entry)

    def remove(self, key: Key, revision: int = 0) -> Entry | None:
        before = self.entries.pop(key, None)
        self.revision = max(self.revision, revision)
        if before is not None:
            self._index(before, None)
            for listener in self._listeners:
                listener(before, None)
        return before

    def replace(self, entries: Iterable[Entry], revision: int) -> None:
        """Become exactly `entries`, telling listeners only what differs: what a re-list does."""
        fresh = {entry.key: entry for entry in entries}
        for key in [key for key in self.entries if key not in fresh]:
            self.remove(key)
        for key, entry in fresh.items():
            old = self.entries.get(key)
            # a row of the same revision may come from a disk, written by a pylet that kept less of it
            if old is None or (old.revision, old.uid, old.raw) != (entry.revision, entry.uid, entry.raw):
                self.put(entry)
        self.revision = max(self.revision, revision)

    def remember(self, entries: Iterable[Entry]) -> None:
        """Become what somebody remembers, until the API has `said` what there is."""
        self._unsaid = []
        self.replace(entries, 0)

    def said(self) -> None:
        """The entries are what the API says, from now on."""
        waiting, self._unsaid = self._unsaid or (), None
        for heard in waiting:
            heard()

    def when_said(self, heard: Callable[[], None]) -> None:
        """Call it now, or once the entries are no longer only remembered."""
        if self._unsaid is None:
            heard()
        else:
            self._unsaid.append(heard)

    def in_namespace(self, namespace: str) -> Mapping[Key, Entry]:
        return self._namespaces.get(namespace, {}) if namespace else self.entries

    def owned_by(self, uid: str) -> Mapping[Key, Entry]:
        return self._owned.get(uid, {})

    def with_field(self, field: str, value: str) -> Mapping[Key, Entry]:
        """Entries whose selectable field (one declared in `kind.fields`) has that value."""
        position = self._positions[field]
        index = self._fields.get(position)
        if index is None:
            index = self._fields[position] = {}
            for key, entry in self.entries.items():
                index.setdefault(entry.fields[position], {})[key] = entry
        return index.get(value, {})

    def with_label(self, label: str, namespace: str, value: str) -> tuple[Entry, ...]:
        """Entries of a namespace whose label has that value, in the order of their names."""
        index = self._labels.get(label)
        if index is None:
            index = self._labels[label] = {}
            for entry in self.entries.values():
                _regroup(index, label, None, entry)
        return index.get(Key(namespace, value), ())

    def _index(self, before: Entry | None, after: Entry | None) -> None:
        """Where both stand under a term, the later takes the place of the earlier."""
        for label, groups in self._labels.items():
            _regroup(groups, label, before, after)
        if before is not None:
            kept = after.owner_uids if after is not None else ()
            _take_out(self._owned, before.key, (uid for uid in before.owner_uids if uid not in kept))
            if after is None and before.key.namespace:
                _take_out(self._namespaces, before.key, (before.key.namespace,))
            for position, index in self._fields.items():
                value = before.fields[position]
                if after is None or after.fields[position] != value:
                    _take_out(index, before.key, (value,))
        if after is not None:
            if after.key.namespace:
                self._namespaces.setdefault(after.key.namespace, {})[after.key] = after
            for uid in after.owner_uids:
                self._owned.setdefault(uid, {})[after.key] = after
            for position, index in self._fields.items():
                index.setdefault(after.fields[position], {})[after.key] = after


def _regroup(groups: dict[Key, tuple[Entry, ...]], label: str, before: Entry | None, after: Entry | None) -> None:
    for entry, fresh in ((before, ()), (after, (after,))):
        if entry is None or not (value := entry.labels.get(label)):
            continue
        key = Key(entry.key.namespace, value)
        others = [other for other in groups.get(key, ()) if other.key != entry.key]
        if group := tuple(sorted([*others, *fresh], key=lambda one: one.key)):
            groups[key] = group
        else:
            groups.pop(key, None)


def _take_out(index: _Index, key: Key, terms: Iterable[str]) -> None:
    for term in terms:
        rows = index.get(term)
        if rows is not None:  # an owner may be named twice
            rows.pop(key, None)
            if not rows:
                del index[term]


class View:
    """What a deciding function may know of the cluster. Kinds nobody gave a table for read as empty."""

    def __init__(self, tables: Mapping[Kind, Table]) -> None:
        self._tables = tables

    def get(self, kind: Kind, key: Key) -> Object | None:
        entry = self.table(kind).entries.get(key)
        return None if entry is None else entry.object

    def select(
        self, kind: Kind, namespace: str = "", matches: Callable[[Mapping[str, str]], bool] | None = None
    ) -> list[Object]:
        """Objects of a namespace ("" for all) whose labels match; a compiled selector is such a predicate."""
        return [entry.object for entry in self.entries(kind, namespace, matches)]

    def entries(
        self, kind: Kind, namespace: str = "", matches: Callable[[Mapping[str, str]], bool] | None = None
    ) -> list[Entry]:
        """As `select`, for who need not decode them all."""
        rows = self.table(kind).in_namespace(namespace).values()
        return [entry for entry in rows if matches is None or matches(entry.labels)]

    def owned_by(self, kind: Kind, uid: str) -> list[Object]:
        return [entry.object for entry in self.table(kind).owned_by(uid).values()]

    def with_field(self, kind: Kind, field: str, value: str) -> list[Object]:
        return [entry.object for entry in self.table(kind).with_field(field, value).values()]

    def table(self, kind: Kind) -> Table:
        return self._tables[kind] if kind in self._tables else Table(kind)
