"""Objects in the form a client asked for: stored bytes where they are that form already, else made from the object."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from functools import lru_cache, partial
from operator import attrgetter, itemgetter
from typing import NamedTuple

import orjson

from pylet.api.errors import NotAcceptable
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.wire import metadata, table
from pylet.api.wire.decode import PROTOBUF_TYPE
from pylet.api.wire.yaml_text import as_yaml
from pylet.client.view import Entry
from pylet.server.http import parts
from pylet.server.http.negotiation import JSON_TYPE, YAML_TYPE, Media, Shape
from pylet.server.http.websocket import message
from pylet.server.registry import JSON, Form, Page, error_frame
from pylet.server.registry.form import type_meta

_CHUNK_BYTES = 128 << 10
_CLOSING = b"]}\n"
_RAW = attrgetter("raw")
_REMEMBERED_BYTES = 4 << 20
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
STATUS = f"{_META}Status"
_LENGTH_BYTES = 4  # before each frame of protobuf
PARTIAL = f"{_META}PartialObjectMetadata"


def one(kind: Kind, entry: Entry, media: Media, now: datetime, include: str = "") -> bytes:
    """What is shown of one object, in JSON: to be `encoded` as the media type has it."""
    match media.shape:
        case Shape.OBJECT:
            return raw(kind, entry)
        case Shape.TABLE:
            found = obj(kind, entry)
            made = table.table(kind, [found], found["metadata"], now, include=include, api_version=_meta_version(media))
        case Shape.METADATA:
            made = metadata.partial(obj(kind, entry), _meta_version(media))
        case Shape.METADATA_LIST:
            go_type = _go_type(kind, kind.name)
            raise NotAcceptable(
                f"you requested PartialObjectMetadataList, but the requested object is not a list ({go_type})"
            )
    return orjson.dumps(made)


class Listed(NamedTuple):
    """A list in pieces of about 128 KB, which take time to make; an empty one is a place to do something else.

    Where the `length` is known before, they are but joins of stored bytes.
    """

    pieces: Iterator[bytes]
    length: int | None = None


def many(kind: Kind, page: Page, media: Media, now: datetime, include: str = "") -> Listed:
    meta: Object = {"resourceVersion": str(page.revision)}
    if page.more or (kind.schema is not None and media.shape is Shape.OBJECT):
        meta["continue"] = page.more  # upstream lists custom resources without omitting it
    if page.remaining is not None:
        meta["remainingItemCount"] = page.remaining
    is_stored = media.type == JSON_TYPE and kind.stored_as is None
    match media.shape:
        case Shape.OBJECT:
            head: Object = {"kind": kind.list_kind, "apiVersion": kind.api_version, "metadata": meta}
            if is_stored:
                return _stored(head, kind, page)
            if media.type == JSON_TYPE:
                return Listed(_joined(head, "items", _bare_items(kind, page)))
            objects = (orjson.loads(item) for item in _bare_items(kind, page))
        case Shape.TABLE:
            version = _meta_version(media)
            head = table.table(kind, (), meta, now, api_version=version)
            del head["rows"]
            if (order := kind.row_order) is not None:
                page = page._replace(entries=sorted(page.entries, key=lambda entry: order(entry.object)))
            if is_stored:
                return Listed(_joined(head, "rows", parts.rows(kind, page.entries, now, include, version)))
            shown = partial(table.row, kind, now=now, include=include, api_version=version)
            return Listed(_written(head, "rows", (shown(obj(kind, entry)) for entry in page.entries), media))
        case Shape.METADATA:
            go_type = _go_type(kind, kind.list_kind) if kind.schema is None else "*unstructured.UnstructuredList"
            raise NotAcceptable(f"you requested PartialObjectMetadata, but the requested object is a list ({go_type})")
        case Shape.METADATA_LIST:
            head = metadata.partial_list((), meta, _meta_version(media))
            del head["items"]
            if is_stored:
                return Listed(_joined(head, "items", parts.partials(page.entries, _meta_version(media))))
            objects = (metadata.partial(obj(kind, entry), _meta_version(media)) for entry in page.entries)
    if media.type == PROTOBUF_TYPE:
        return Listed(_protobuf(head, kind, page, kind.definition if media.shape is Shape.OBJECT else PARTIAL))
    return Listed(_written(head, "items", objects, media))


def _go_type(kind: Kind, name: str) -> str:
    """What upstream's error texts call it: the type of the stored object."""
    return f"*{(kind.stored_as or kind).group.partition('.')[0] or 'core'}.{name}"


def raw(kind: Kind, entry: Entry) -> bytes:
    return entry.raw if kind.stored_as is None else orjson.dumps(kind.from_stored(entry.object))


def _bare_items(kind: Kind, page: Page) -> Iterator[bytes]:
    """Built-in kinds leave it to the list to say what its items are; custom resources say it each."""
    said = _said(kind)
    for entry in page.entries:
        item = raw(kind, entry)
        yield b"{" + item[len(said) :] if item.startswith(said) else item


def _said(kind: Kind) -> bytes:
    """What a list says for its items, which leave it out."""
    return type_meta(kind) if kind.schema is None else b"{"


def obj(kind: Kind, entry: Entry) -> Object:
    return entry.object if kind.stored_as is None else kind.from_stored(entry.object)


def pretty(body: bytes) -> bytes:
    return orjson.dumps(orjson.loads(body), option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def encoded(body: bytes, media: Media, *, definition: str = STATUS) -> bytes:
    """JSON as the media type wants it; `definition` is that of the object."""
    if media.type == YAML_TYPE:
        return as_yaml(orjson.loads(body))
    if media.type == PROTOBUF_TYPE:
        from pylet.api.wire import protobuf

        return protobuf.dump(orjson.loads(body), definition)
    return pretty(body) if media.is_pretty else body


class Frames(NamedTuple):
    """How a watch is written: what comes first, what comes later, and why it ended."""

    first: Form = JSON
    later: Form = JSON
    error: Callable[[Object], bytes] = error_frame
    type: str = JSON_TYPE


@lru_cache(256)
def frames(kind: Kind, media: Media, include: str) -> Frames:
    """The same instances each time, so that watchers share frames."""
    if media.type == PROTOBUF_TYPE:
        binary = _ProtobufForm(kind, media)
        return Frames(binary, binary, _protobuf_error, f"{PROTOBUF_TYPE};stream=watch")
    match media.shape:
        case Shape.TABLE:
            first, later = (_TableForm(kind, media, include, headers=headers) for headers in (True, False))
            return Frames(first, later)
        case Shape.METADATA | Shape.METADATA_LIST:
            form: Form = _MetadataForm(kind, media)
            return Frames(form, form)
        case Shape.OBJECT if kind.stored_as is not None:
            form = _ConvertedForm(kind)
            return Frames(form, form)
    return Frames()


@lru_cache(256)
def in_messages(frames: Frames) -> Frames:
    """The same events as WebSocket messages: text, or protobuf without its length before it."""
    is_text = frames.type == JSON_TYPE
    skipped = 0 if is_text else _LENGTH_BYTES
    made = {form: _MessageForm(form, skipped, is_text=is_text) for form in (frames.first, frames.later)}

    def error(status: Object) -> bytes:
        return message(frames.error(status)[skipped:], is_text=is_text)

    return Frames(made[frames.first], made[frames.later], error, frames.type)


class _MessageForm:
    def __init__(self, form: Form, skipped: int, *, is_text: bool) -> None:
        self._form = form
        self._skipped = skipped
        self._is_text = is_text

    def frame(self, type_: str, entry: Entry) -> bytes:
        return message(self._form.frame(type_, entry)[self._skipped :], is_text=self._is_text)


class _ConvertedForm:
    def __init__(self, kind: Kind) -> None:
        self._kind = kind

    def frame(self, type_: str, entry: Entry) -> bytes:
        return _framed(type_, _shown(self._kind, type_, entry))


class _MetadataForm:
    def __init__(self, kind: Kind, media: Media) -> None:
        self._kind = kind
        self._version = _meta_version(media)

    def frame(self, type_: str, entry: Entry) -> bytes:
        return _framed(type_, metadata.partial(entry.object, self._version))


class _ProtobufForm:
    def __init__(self, kind: Kind, media: Media) -> None:
        self._kind = kind
        self._partial = "" if media.shape is Shape.OBJECT else _meta_version(media)

    def frame(self, type_: str, entry: Entry) -> bytes:
        from pylet.api.wire import protobuf

        if self._partial:
            return protobuf.frame(type_, protobuf.dump(metadata.partial(entry.object, self._partial), PARTIAL))
        return protobuf.frame(type_, protobuf.dump(_shown(self._kind, type_, entry), self._kind.definition))


class _TableForm:
    """The first events a watcher gets name the columns (`headers`), later ones do not."""

    def __init__(self, kind: Kind, media: Media, include: str, *, headers: bool) -> None:
        self._kind = kind
        self._version = _meta_version(media)
        self._include = include
        self._headers = headers

    def frame(self, type_: str, entry: Entry) -> bytes:
        meta, kind = entry.object["metadata"], self._kind
        made = table.table(kind, (), meta, _now(), headers=self._headers, api_version=self._version)
        if type_ == "BOOKMARK":
            made["rows"] = [table.blank(kind, entry.object, self._version)]
        else:
            row = table.row(kind, obj(kind, entry), _now(), include=self._include, api_version=self._version)
            made["rows"] = [row]
        return _framed(type_, made)


def _now() -> datetime:
    return datetime.now().astimezone()


def _shown(kind: Kind, type_: str, entry: Entry) -> Object:
    """A bookmark holds no object to convert, only what says where the watch is."""
    if type_ == "BOOKMARK":
        return {**entry.object, "kind": kind.name, "apiVersion": kind.api_version}
    return obj(kind, entry)


def _stored(head: Object, kind: Kind, page: Page) -> Listed:
    """Of objects as they are stored: of 9 MB for 1,000 pods one piece at a time is in memory.

    What is done for each object is done in C: as Python it was a third of what a list of 500 costs.
    """
    opening, cut = _opening(head, "items"), itemgetter(slice(len(_said(kind)), None))
    items = list(map(_RAW, page.entries))
    if not items:
        return Listed(iter((opening, _CLOSING)), len(opening) + len(_CLOSING))
    opening += b"{"
    between = len(b",{") - len(_said(kind))
    length = len(opening) + sum(map(len, items)) + len(items) * between - len(b",{") + len(_CLOSING)
    at_once = max(1, len(items) * _CHUNK_BYTES // length)

    def pieces() -> Iterator[bytes]:
        before = opening
        for start in range(0, len(items), at_once):
            some = list(map(cut, items[start : start + at_once]))
            some[0] = before + some[0]
            before = b",{"
            if start + at_once >= len(items):
                some[-1] += _CLOSING
            yield b",{".join(some)

    return Listed(pieces(), length)


def _joined(head: Object, name: str, items: Iterable[bytes]) -> Iterator[bytes]:
    pieces: list[bytes] = []
    size, before = 0, _opening(head, name)
    for item in items:
        pieces.append(item)
        size += len(item)
        if size > _CHUNK_BYTES:
            pieces[0] = before + pieces[0]
            yield b",".join(pieces)
            pieces, size, before = [], 0, b","
    yield (before if pieces or before != b"," else b"") + b",".join(pieces) + _CLOSING


def _opening(head: Object, name: str) -> bytes:
    return b'%b,"%b":[' % (orjson.dumps(head)[:-1], name.encode())


def _written(head: Object, name: str, items: Iterable[Object], media: Media) -> Iterator[bytes]:
    if media.type == YAML_TYPE:
        before = {word: value for word, value in head.items() if word < name}
        after = {word: value for word, value in head.items() if word > name}
        yield (as_yaml(before) if before else b"") + name.encode()
        empty = b": []\n"
        for item in items:
            yield (b":\n" if empty else b"") + as_yaml([item])
            empty = b""
        yield empty + as_yaml(after)
        return
    yield from _joined(head, name, map(orjson.dumps, items))


def _protobuf(head: Object, kind: Kind, page: Page, definition: str) -> Iterator[bytes]:
    from pylet.api.wire import protobuf

    listed = protobuf.List(head)
    for entry in page.entries:
        if listed.add(_remembered(kind, entry, definition)):
            yield b""
    yield from listed.pieces()


def _remembered(kind: Kind, entry: Entry, definition: str) -> bytes:
    """The protobuf of a listed object or of its metadata; making a pod's takes 80 µs.

    Only lists may remember: a dry run's answer and the last state that a watch is told have another object's revision.
    """
    key = definition, entry.uid, entry.revision
    found = _messages.get(key)
    if found is None:
        from pylet.api.wire import protobuf

        found = protobuf.message(obj(kind, entry), definition)
        _messages.add(key, found)
    return found


class _Messages:
    """What was made last, first in, first out."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, int], bytes] = {}
        self._bytes = 0

    def get(self, key: tuple[str, str, int]) -> bytes | None:
        return self._kept.get(key)

    def add(self, key: tuple[str, str, int], message: bytes) -> None:
        self._kept[key] = message
        self._bytes += len(message)
        while self._bytes > _REMEMBERED_BYTES:
            self._bytes -= len(self._kept.pop(next(iter(self._kept))))


_messages = _Messages()


def _protobuf_error(status: Object) -> bytes:
    from pylet.api.wire import protobuf

    return protobuf.frame("ERROR", protobuf.dump(status, STATUS))


def _framed(type_: str, made: Object) -> bytes:
    return b'{"type":"%b","object":%b}\n' % (type_.encode(), orjson.dumps(made))


def _meta_version(media: Media) -> str:
    return f"meta.k8s.io/{media.version}"
