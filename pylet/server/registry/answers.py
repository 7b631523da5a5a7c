"""What the registry answers with: entries whose bytes are final, decoded by nobody who only passes them on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, Protocol

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.client.view import Entry


class Page(NamedTuple):
    """One answer to a list, in key order. `more` is the continue token or ""; `remaining` is None when not counted
    (with selectors it never is)."""

    entries: Sequence[Entry]
    revision: int
    more: str = ""
    remaining: int | None = None


class Written(NamedTuple):
    """The object after a write; `created` tells 201 from 200 (a PUT creates some kinds)."""

    entry: Entry
    created: bool = False


class Deleted(NamedTuple):
    """`body` is the answer's JSON, an object or a Status; `code` is 200, or 202 (see `DeleteOptions`)."""

    body: bytes
    code: int = 200


class Form(Protocol):
    """A representation of objects on a watch (JSON, Table, metadata, protobuf): how one event becomes bytes.

    Forms are compared by identity: a room keeps one instance per representation and kind, so that frames are shared.
    """

    def frame(self, type_: str, entry: Entry) -> bytes:
        """`type_` is ADDED, MODIFIED, DELETED or BOOKMARK; a bookmark's entry holds a bare object of the kind."""
        ...


class JsonForm:
    """The stored version as JSON lines: what nearly every watcher wants."""

    def frame(self, type_: str, entry: Entry) -> bytes:
        return b'{"type":"%b","object":%b}\n' % (type_.encode(), entry.raw)


JSON = JsonForm()


class Change:
    """One event as one kind of watcher sees it; its frame is made once per form."""

    __slots__ = ("_frames", "entry", "type")

    def __init__(self, type_: str, entry: Entry) -> None:
        self.type = type_
        self.entry = entry
        self._frames: dict[Form, bytes] = {}

    def frame(self, form: Form) -> bytes:
        found = self._frames.get(form)
        if found is None:
            found = self._frames[form] = form.frame(self.type, self.entry)
        return found


class Batch:
    """What one loop tick brought to all watchers of one selection: they share it and its bytes."""

    __slots__ = ("_encoded", "changes")

    def __init__(self, changes: Sequence[Change]) -> None:
        self.changes = changes
        self._encoded: dict[Form, bytes] = {}

    def encoded(self, form: Form = JSON) -> bytes:
        """All frames joined, made once per form: the same buffer goes to every watcher's transport."""
        found = self._encoded.get(form)
        if found is None:
            frames = [change.frame(form) for change in self.changes]
            found = self._encoded[form] = frames[0] if len(frames) == 1 else b"".join(frames)
        return found


END = Batch(())
"""The last batch of a watch whose kind is not served any more, or changed: its reader ends the watch."""

Deliver = Callable[[Batch], None]
"""Called synchronously from the loop: it must be quick and must not raise; it may close the subscription."""


class Subscription(Protocol):
    """One watch, from `Registry.watch`. Use: write `initial` at the reader's pace, then `follow`, at last `close`.

    Nothing is lost between the two: `follow` first delivers, in the same call, what happened since.
    """

    initial: Iterator[Batch]
    """Synthetic ADDED events (and the bookmark that ends them); empty when the watch resumes from a revision."""

    def follow(self, deliver: Deliver) -> None:
        """Raises: Expired (write `error_frame` and end)."""
        ...

    def remind(self) -> None:
        """Deliver a bookmark to whoever asked for them: everything up to now has been told."""
        ...

    def close(self) -> None: ...


def error_frame(status: Object) -> bytes:
    """The watch event that says why a watch ends."""
    return b'{"type":"ERROR","object":%b}\n' % orjson.dumps(status)


def bookmark(kind: Kind, revision: int, *, initial_events_end: bool = False) -> Change:
    meta: Object = {"resourceVersion": str(revision), "creationTimestamp": None}
    if initial_events_end:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    raw = orjson.dumps({"kind": kind.name, "apiVersion": kind.api_version, "metadata": meta})
    return Change("BOOKMARK", Entry(Key("", ""), revision, raw, "", {}, (), ()))


def deleted_well(kind: Kind, entry: Entry) -> bytes:
    details = {"name": entry.key.name, "group": kind.group, "kind": kind.plural, "uid": entry.uid}
    return success({name: value for name, value in details.items() if value})


def success(details: Object | None = None) -> bytes:
    """A Status that says that all went well."""
    status: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    return orjson.dumps(status | ({"details": details} if details else {}))
