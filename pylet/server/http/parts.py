"""What the short forms show of a listed object: its metadata, cut out of the stored bytes, and a table's cells, which
stay as long as the ages in them do. Both are kept with the entry, whose object never changes.

Measured with 2,000 ConfigMaps: 0.2 µs of metadata and 0.4 of a row each, against 7 and 9 with the objects decoded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from pylet.api import columns
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire import metadata, table
from pylet.client.view import Entry, encoded

_METADATA = b'"metadata":'  # right after kind and apiVersion, which are plain words: see registry/form.py
_DAY_SECONDS = 86400.0


class Parts:
    """Where an entry's metadata lies, and its cells: in whose table, and from when until when."""

    __slots__ = ("cells", "kind", "metadata", "since", "until")

    def __init__(self, raw: bytes, obj: Object) -> None:
        start = raw.index(_METADATA) + len(_METADATA)
        made = orjson.dumps(obj["metadata"])
        self.metadata = slice(start, raw.index(made, start) + len(made))
        self.kind: Kind | None = None
        self.cells = b""
        self.since = self.until = 0.0


class Moment(datetime):
    """A time that notes how long the ages stay the same that are told from it."""

    lasting_seconds = _DAY_SECONDS

    def __sub__(self, other: Any) -> Any:
        passed = super().__sub__(other)
        if isinstance(passed, timedelta):
            self.lasting_seconds = min(self.lasting_seconds, columns.stays(passed.total_seconds()))
        return passed


def partials(entries: Iterable[Entry], version: str) -> Iterator[bytes]:
    """Each one's PartialObjectMetadata of that version of meta.k8s.io."""
    before = _before_metadata(version)
    for entry in entries:
        parts: Parts = entry.parts or _cut(entry, entry.decoded())
        yield b"".join((before, entry.raw[parts.metadata], b"}"))


def rows(kind: Kind, entries: Iterable[Entry], now: datetime, include: str) -> Iterator[bytes]:
    """Each one's row of the kind's table; `include` says what of the object it carries."""
    moment, seconds = Moment.fromtimestamp(now.timestamp(), UTC), now.timestamp()
    before, after = (b"", b"}") if include in (table.NONE, table.OBJECT) else (_before_metadata(), b"}}")
    for entry in entries:
        parts: Parts | None = entry.parts
        if parts is None or parts.kind is not kind or not parts.since <= seconds < parts.until:
            obj = entry.decoded()
            parts = entry.parts or _cut(entry, obj)
            moment.lasting_seconds = _DAY_SECONDS
            parts.cells = encoded(table.cells(kind, obj, moment))
            parts.kind, parts.since, parts.until = kind, seconds, seconds + moment.lasting_seconds
        match include:
            case table.NONE:
                carried = b"null"
            case table.OBJECT:
                carried = entry.raw
            case _:
                carried = entry.raw[parts.metadata]
        yield b"".join((b'{"cells":', parts.cells, b',"object":', before, carried, after))


def _cut(entry: Entry, obj: Object) -> Parts:
    found = entry.parts = Parts(entry.raw, obj)
    return found


def _before_metadata(version: str = metadata.VERSION) -> bytes:
    return orjson.dumps(metadata.partial({"metadata": ""}, version))[: -len('""}')]
