"""Entries in list order, which is that of their keys, so that a page is a slice."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping

from pylet.api.object import Key
from pylet.client.view import Entry


class Ordered:
    """`entries` stand where their `keys` do."""

    __slots__ = ("entries", "keys")

    def __init__(self, rows: Mapping[Key, Entry]) -> None:
        self.keys = sorted(rows)
        self.entries = [rows[key] for key in self.keys]

    def change(self, before: Entry | None, after: Entry | None) -> None:
        """Take one change of one object; None is where there is none."""
        if before is not None:
            at = bisect_left(self.keys, before.key)
            if after is not None:
                self.entries[at] = after
            else:
                del self.keys[at], self.entries[at]
        elif after is not None:
            at = bisect_left(self.keys, after.key)
            self.keys.insert(at, after.key)
            self.entries.insert(at, after)

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
