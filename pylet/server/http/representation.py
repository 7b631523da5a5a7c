"""Objects in the form a client asked for: stored bytes where they are that form already, else made from the object."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from functools import lru_cache
from typing import Any

import orjson

from pylet.api.errors import NotAcceptable
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire import metadata, table
from pylet.client.view import Entry
from pylet.server.http.negotiation import YAML_TYPE, Media, Shape
from pylet.server.registry import JSON, Form, Page

_CHUNK_BYTES = 128 << 10


def one(kind: Kind, entry: Entry, media: Media, now: datetime, include: str = "") -> bytes:
    """The JSON of one object."""
    match media.shape:
        case Shape.OBJECT:
            return raw(kind, entry)
        case Shape.TABLE:
            found = obj(kind, entry)
            made = table.table(kind, [found], found["metadata"], now, include=include, api_version=_meta_version(media))
        case Shape.METADATA:
            made = metadata.partial(obj(kind, entry), _meta_version(media))
        case Shape.METADATA_LIST:
            raise NotAcceptable("you requested PartialObjectMetadataList, but the requested object is not a list")
    return orjson.dumps(made)


def many(kind: Kind, page: Page, media: Media, now: datetime, include: str = "") -> list[bytes]:
    """The JSON of a list, in pieces of about 128 KB; the pieces of plain objects are joins of stored bytes."""
    meta: Object = {"resourceVersion": str(page.revision)}
    if page.more:
        meta["continue"] = page.more
    if page.remaining is not None:
        meta["remainingItemCount"] = page.remaining
    match media.shape:
        case Shape.OBJECT:
            head = {"kind": f"{kind.name}List", "apiVersion": kind.api_version, "metadata": meta}
            return list(_joined(orjson.dumps(head)[:-1], kind, page))
        case Shape.TABLE:
            objects = (obj(kind, entry) for entry in page.entries)
            made = table.table(kind, objects, meta, now, include=include, api_version=_meta_version(media))
        case Shape.METADATA_LIST | Shape.METADATA:
            objects = (obj(kind, entry) for entry in page.entries)
            made = metadata.partial_list(objects, meta, _meta_version(media))
    return [orjson.dumps(made)]


def raw(kind: Kind, entry: Entry) -> bytes:
    return entry.raw if kind.stored_as is None else orjson.dumps(kind.from_stored(entry.object))


def obj(kind: Kind, entry: Entry) -> Object:
    return entry.object if kind.stored_as is None else kind.from_stored(entry.object)


def pretty(body: bytes) -> bytes:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def as_yaml(body: bytes) -> bytes:
    import yaml

    dumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text: str = yaml.dump(
        orjson.loads(body), Dumper=dumper, default_flow_style=False, sort_keys=True, allow_unicode=True
    )
    return text.encode()


def encoded(body: bytes, media: Media, *, indent: bool) -> bytes:
    """JSON as the media type wants it."""
    if media.type == YAML_TYPE:
        return as_yaml(body)
    return pretty(body) if indent else body


@lru_cache(256)
def form(kind: Kind, media: Media, include: str, *, headers: bool = False) -> Form:
    """How a watch shows its events; the same instance each time, so that watchers share frames."""
    match media.shape:
        case Shape.TABLE:
            return _TableForm(kind, media, include, headers=headers)
        case Shape.METADATA | Shape.METADATA_LIST:
            return _MetadataForm(kind, media)
        case Shape.OBJECT if kind.stored_as is not None:
            return _ConvertedForm(kind)
    return JSON


class _ConvertedForm:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def frame(self, type_: str, entry: Entry) -> bytes:
        if type_ == "BOOKMARK":
            found: Object = {**entry.object, "kind": self._kind.name, "apiVersion": self._kind.api_version}
        else:
            found = obj(self._kind, entry)
        return _framed(type_, found)


class _MetadataForm:
    def __init__(self, kind: Kind, media: Media) -> None:
        self._kind = kind
        self._version = _meta_version(media)

    def frame(self, type_: str, entry: Entry) -> bytes:
        return _framed(type_, metadata.partial(entry.object, self._version))


class _TableForm:
    """The first events a watcher gets name the columns (`headers`), later ones do not."""

    def __init__(self, kind: Kind, media: Media, include: str, *, headers: bool) -> None:
        self._kind = kind
        self._version = _meta_version(media)
        self._include = include
        self._headers = headers

    def frame(self, type_: str, entry: Entry) -> bytes:
        objects = [] if type_ == "BOOKMARK" else [obj(self._kind, entry)]
        made = table.table(
            self._kind,
            objects,
            entry.object["metadata"],
            datetime.now().astimezone(),
            include=self._include,
            headers=self._headers,
            api_version=self._version,
        )
        return _framed(type_, made)


def _joined(head: bytes, kind: Kind, page: Page) -> Iterator[bytes]:
    pieces: list[bytes] = []
    size, before = 0, head + b',"items":['
    for entry in page.entries:
        found = raw(kind, entry)
        pieces.append(found)
        size += len(found)
        if size > _CHUNK_BYTES:
            yield before + b",".join(pieces)
            pieces, size, before = [], 0, b","
    yield (before if pieces or not page.entries else b"") + b",".join(pieces) + b"]}\n"


def _framed(type_: str, made: Object) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), orjson.dumps(made))


def _meta_version(media: Media) -> str:
    return f"meta.k8s.io/{media.version}"
