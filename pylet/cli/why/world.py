"""The cluster as far as somebody asks about it: a View whose tables are read when first looked at."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

from pylet.api.kind import Kind
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.object import Object, dig, uid_of
from pylet.client.view import Entry, Table, View


class _Tables(Mapping[Kind, Table]):
    def __init__(self, read: Callable[[Kind], Iterable[Object]]) -> None:
        self._read = read
        self._known: dict[Kind, Table] = {}

    def __contains__(self, kind: object) -> bool:
        return True

    def __getitem__(self, kind: Kind) -> Table:
        if kind not in self._known:
            table = self._known[kind] = Table(kind)
            for obj in self._read(kind):
                table.put(Entry.of(kind, obj))
        return self._known[kind]

    def __iter__(self) -> Iterator[Kind]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)


class World(View):
    """`read` lists all objects of a kind. `now` is when the question was asked."""

    def __init__(self, read: Callable[[Kind], Iterable[Object]], now: datetime) -> None:
        super().__init__(_Tables(read))
        self.now = now

    def warning(self, obj: Object, *reasons: str) -> str:
        """What the latest warning about an object says, of those with one of the reasons if any are named."""
        events = [
            event
            for event in self.select(EVENT, obj["metadata"].get("namespace") or "default")
            if dig(event, "involvedObject", "uid") == uid_of(obj)
            and event.get("type") == "Warning"
            and (not reasons or event.get("reason") in reasons)
        ]
        latest = max(events, key=_last, default=None)
        return str(latest.get("message", "")) if latest is not None else ""


def _last(event: Object) -> str:
    series = dig(event, "series", "lastObservedTime")
    return str(series or event.get("lastTimestamp") or event.get("eventTime") or "")
