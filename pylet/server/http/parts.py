"""What the short forms show of a listed object: its metadata, cut out of the stored bytes, and a table's cells, which
stay as long as the ages in them do. Both are kept with the entry, whose object never changes.

Measured with 2,000 ConfigMaps: 0.2 µs of metadata and 0.4 of a row each, against 7 and 9 with the objects decoded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
_AT_ONCE = 128


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


def partials(entries: Sequence[Entry], version: str) -> Iterator[bytes]:
    """Their PartialObjectMetadata of that version of meta.k8s.io, some at a time, a comma between two."""
    before = _before_metadata(version)
    for some in _some(entries):
        cut = [entry.raw[(entry.parts or _cut(entry, entry.decoded())).metadata] for entry in some]
        cut[0] = before + cut[0]
        cut[-1] += b"}"
        yield (b"}," + before).join(cut)


def rows(kind: Kind, entries: Sequence[Entry], now: datetime, include: str, version: str) -> Iterator[bytes]:
    """Their rows of the kind's table, as `partials`; `include` says what of the object a row carries."""
    moment, seconds = Moment.fromtimestamp(now.timestamp(), UTC), now.timestamp()
    is_whole = include in (table.NONE, table.OBJECT)
    before, after = (b"", b"}") if is_whole else (_before_metadata(version), b"}}")
    opening, middle = b'{"cells":', b',"object":' + before
    between = after + b"," + opening
    for some in _some(entries):
        made = [opening]
        for entry in some:
            parts: Parts | None = entry.parts
            if parts is None or parts.kind is not kind or not parts.since <= seconds < parts.until:
                obj = entry.decoded()
                parts = entry.parts or _cut(entry, obj)
                moment.lasting_seconds = _DAY_SECONDS
                parts.cells = encoded(table.cells(kind, obj, moment))
                parts.kind, parts.since, parts.until = kind, seconds, seconds + moment.lasting_seconds
            if not is_whole:
                carried = entry.raw[parts.metadata]
            elif include == table.OBJECT:
                carried = entry.raw
            else:
                carried = b"null"
            made += parts.cells, middle, carried, between
        made[-1] = after
        yield b"".join(made)


def _some(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[start : start + _AT_ONCE] for start in range(0, len(entries), _AT_ONCE))


def _cut(entry: Entry, obj: Object) -> Parts:
    found = entry.parts = Parts(entry.raw, obj)
    return found


def _before_metadata(version: str) -> bytes:
    return orjson.dumps(metadata.partial({"metadata": ""}, version))[: -len('""}')]
