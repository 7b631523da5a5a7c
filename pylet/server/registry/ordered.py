"""Entries in list order, which is that of their keys, so that a page is a slice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from pylet.api.object import Key
from pylet.client.view import Entry

_MOST_COLUMNS = 8


class Ordered:
    """`entries` stand where their `keys` do, and so does a byte of each label's values that lists have asked for."""

    __slots__ = ("_columns", "entries", "keys")

    def __init__(self, rows: Mapping[Key, Entry]) -> None:
        self.keys = sorted(rows)
        self.entries = [rows[key] for key in self.keys]
        self._columns: dict[str, bytearray] = {}

    def change(self, before: Entry | None, after: Entry | None) -> None:
        """Take one change of one object; None is where there is none."""
        if before is not None:
            at = bisect_left(self.keys, before.key)
            if after is not None:
                self.entries[at] = after
                for label, column in self._columns.items():
                    column[at] = _mark(after.labels.get(label))
            else:
                del self.keys[at], self.entries[at]
                for column in self._columns.values():
                    del column[at]
        elif after is not None:
            at = bisect_left(self.keys, after.key)
            self.keys.insert(at, after.key)
            self.entries.insert(at, after)
            for label, column in self._columns.items():
                column.insert(at, _mark(after.labels.get(label)))

    def span(self, namespace: str, name: str | None, after: Key | None) -> slice:
        """Where those of a namespace ("" is all) and of a name are, behind the object `after`."""
        keys = self.keys
        first, last = 0, len(keys)
        if namespace:
            first = bisect_left(keys, Key(namespace, ""))
            last = bisect_left(keys, Key(namespace + "\0", ""), first)
        if name is not None and (namespace or not keys or not keys[0].namespace):
            first = bisect_left(keys, Key(namespace, name), first, last)
            last = min(last, first + 1)
        if after is not None:
            first = max(first, bisect_left(keys, Key(after.namespace, after.name + "\0")))
        return slice(first, max(first, last))

    def bearing(self, label: str, value: str, where: slice) -> Iterator[Entry]:
        """Those of whose label a byte is as that value's: few but those that have it."""
        column = self._columns.get(label)
        if column is None:
            if len(self._columns) == _MOST_COLUMNS:
                del self._columns[next(iter(self._columns))]
            column = self._columns[label] = bytearray(_mark(entry.labels.get(label)) for entry in self.entries)
        mark = _mark(value)
        at = column.find(mark, where.start, where.stop)
        while at >= 0:
            yield self.entries[at]
            at = column.find(mark, at + 1, where.stop)


def _mark(value: str | None) -> int:
    return hash(value) & 0xFF
