"""The watch cache of one stored kind: its current state, a bounded history, and who watches it.

The current state is a `client.view.Table`, the same thing an informer fills, so in-process readers share it. The
history answers watches that resume and lists that continue; what it no longer holds is Expired. Watchers of one
selection form a group: an event is judged once per group and framed once per form; what the store wrote together, or
more of it while telling many takes long, is a Batch.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator

from pylet.api.errors import Expired
from pylet.api.kind import Kind
from pylet.api.object import Key
from pylet.client.view import Entry, Table
from pylet.server.registry.answers import END, Batch, Change, Deliver, bookmark
from pylet.server.registry.form import at_revision
from pylet.server.registry.ordered import Ordered
from pylet.server.registry.selection import Selection

log = logging.getLogger(__name__)

HISTORY_EVENTS = 4096
_HISTORY_EVENTS_LEAST = 100  # kept however old they are
_HISTORY_BYTES = 4 << 20  # of the entries only the history still holds
_HISTORY_BYTES_MOST = 16 << 20  # of those that are kept however old they are
_INITIAL_BATCH_BYTES = 128 << 10

Pace = Callable[[Callable[[], None]], Callable[[], None]]
"""When a cache that has something to tell does so: `aio.Paced`."""


class Event:
    """One change of one object: what was there before and what is there now (None: nothing)."""

    __slots__ = ("_added", "_deleted", "_modified", "after", "before", "key", "revision")

    def __init__(self, revision: int, key: Key, before: Entry | None, after: Entry | None) -> None:
        self.revision = revision
        self.key = key
        self.before = before
        self.after = after
        self._added: Change | None = None
        self._modified: Change | None = None
        self._deleted: Change | None = None

    def seen_by(self, selection: Selection) -> Change | None:
        """The change as a watcher of that selection sees it: entering it is ADDED, leaving it DELETED."""
        before, after = self.before, self.after
        was = before is not None and selection.matches(before)
        if after is not None and selection.matches(after):
            if was:
                if self._modified is None:
                    self._modified = Change("MODIFIED", after)
                return self._modified
            if self._added is None:
                self._added = Change("ADDED", after)
            return self._added
        if before is None or not was:
            return None
        if self._deleted is None:
            self._deleted = Change("DELETED", at_revision(before, self.revision))
        return self._deleted

    def delivered(self) -> None:
        """Let go of the frames: the history keeps entries, not what was sent."""
        self._added = self._modified = self._deleted = None


class Watch:
    """One subscription; see `answers.Subscription` for its use."""

    def __init__(
        self, cache: Cache, selection: Selection, since: int, initial: Iterator[Batch], *, bookmarks: bool
    ) -> None:
        self.initial = initial
        self.selection = selection
        self.bookmarks = bookmarks
        self._cache = cache
        self._since = since
        self.deliver: Deliver | None = None

    def follow(self, deliver: Deliver) -> None:
        missed = self._cache.since(self._since, self.selection)
        if self._cache.is_closed:
            deliver(END)
            return
        self.deliver = deliver if self._since <= self._cache.seen() else _after(self._since, deliver)
        self._cache.join(self)
        if missed:
            deliver(Batch(missed))

    def remind(self) -> None:
        if self.bookmarks and self.deliver is not None:
            self._cache.flush()
            self.deliver(Batch((bookmark(self._cache.kind, self._cache.seen()),)))

    def end(self) -> None:
        if self.deliver is not None:
            self.deliver(END)

    def close(self) -> None:
        if self.deliver is not None:
            self.deliver = None
            self._cache.leave(self)


def _after(revision: int, deliver: Deliver) -> Deliver:
    """For a watch that begins in the future: nothing before that is told."""

    def later(batch: Batch) -> None:
        changes = [change for change in batch.changes if change.entry.revision > revision]
        if changes or batch is END:
            deliver(Batch(changes) if changes else END)

    return later


class Cache:
    def __init__(self, kind: Kind, pace: Pace, seen: Callable[[], int]) -> None:
        self.kind = kind
        self.tell = pace(self.flush)
        """For whoever has applied changes: what came together is told together."""
        self.seen = seen
        """The revision up to which this cache has everything, which may be later than this kind's last change."""
        self.table = Table(kind)
        self.oldest = 0
        """Watches resume from this revision on; below it they are Expired."""
        self.is_closed = False
        self.told = 0
        """Events that watchers were given since the start."""
        self.applied = self.opened = self.consistent = 0
        """Changes that came, objects that watches began with, lists of what there is now."""
        self.lists: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
        """By index how many lists there were, of how many objects they were made and how many they had."""
        self._compacted = 0
        self._history: deque[Event] = deque()
        self._history_bytes = 0
        self._groups: dict[Selection, dict[Watch, None]] = {}
        self._near: dict[tuple[str, str], list[Selection]] = {}  # groups by what pins their selections
        self._pending: list[Event] = []
        self._ordered: Ordered | None = None  # from the first list on

    def start(self, entries: Iterable[Entry], revision: int) -> None:
        """Begin with what the store holds; history begins here."""
        self.table.replace(entries, revision)
        self.oldest = self.table.revision = revision

    def apply(self, revision: int, key: Key, entry: Entry | None) -> None:
        """Take one change of the store; changes come in revision order."""
        table = self.table
        before = table.entries.get(key)
        if entry is not None:
            if before is not None:
                entry.share(before)
            table.put(entry)
            key = entry.key
        elif before is not None:
            table.remove(key, revision)
            key = before.key
        else:
            return
        if self._ordered is not None:
            self._ordered.change(before, entry)
        event = Event(revision, key, before, entry)
        self.applied += 1
        self._remember(event)
        if self._groups:
            self._pending.append(event)

    # ---- reading

    def in_order(self) -> Ordered:
        """What there is: sorted once, kept sorted then."""
        if self._ordered is None:
            self._ordered = Ordered(self.table.entries)
        return self._ordered

    def at(self, revision: int) -> Ordered:
        """What there was at an earlier revision. Raises: Expired."""
        if revision < self._compacted:
            raise Expired(f"too old resource version: {revision} ({self._compacted})")
        self._check_retained(revision)
        then = self.table.entries
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            if then is self.table.entries:
                then = dict(then)
            if event.before is None:
                then.pop(event.key, None)
            else:
                then[event.key] = event.before
        return self.in_order() if then is self.table.entries else Ordered(then)

    def since(self, revision: int, selection: Selection) -> list[Change]:
        """What such a watcher missed after `revision`. Raises: Expired."""
        self._check_retained(revision)
        newer: list[Event] = []
        for event in reversed(self._history):
            if event.revision <= revision:
                break
            newer.append(event)
        return [change for event in reversed(newer) if (change := event.seen_by(selection)) is not None]

    # ---- watching

    def watch(self, selection: Selection, since: int, *, bookmarks: bool) -> Watch:
        """Everything after revision `since`. Raises: Expired."""
        self._check_retained(since)
        return Watch(self, selection, since, iter(()), bookmarks=bookmarks)

    def watch_from_now(self, selection: Selection, *, bookmarks: bool, mark_end: bool) -> Watch:
        """The current state as ADDED events, then everything after; `mark_end` puts the bookmark between them."""
        entries, revision = selection.of(self.table), self.seen()
        initial = self._initial(entries, revision, mark_end=mark_end)
        return Watch(self, selection, revision, initial, bookmarks=bookmarks)

    def join(self, watch: Watch) -> None:
        self.flush()  # what this watcher was just told must not reach it again
        group = self._groups.get(watch.selection)
        if group is None:
            group = self._groups[watch.selection] = {}
            self._near.setdefault(watch.selection.pinned, []).append(watch.selection)
        group[watch] = None

    def leave(self, watch: Watch) -> None:
        group = self._groups[watch.selection]
        del group[watch]
        if not group:
            del self._groups[watch.selection]
            near = self._near[watch.selection.pinned]
            near.remove(watch.selection)
            if not near:
                del self._near[watch.selection.pinned]

    def flush(self) -> None:
        """Deliver what is not told yet."""
        events, self._pending = self._pending, []
        if not events:
            return
        if len(events) == 1:
            concerned = self._concerned(events[0].key)
        else:
            keys = {event.key for event in events}
            concerned = list(dict.fromkeys(selection for key in keys for selection in self._concerned(key)))
        for selection in concerned:
            changes = [change for event in events if (change := event.seen_by(selection)) is not None]
            if changes:
                batch, watches = Batch(changes), list(self._groups.get(selection, ()))
                self.told += len(changes) * len(watches)
                for watch in watches:
                    try:
                        if watch.deliver is not None:
                            watch.deliver(batch)
                    except Exception:
                        log.exception("a watch of %s that cannot be told ends, so that it begins anew", self.kind)
                        watch.end()
        for event in events:
            event.delivered()

    def close(self) -> None:
        """End all watches; none begins any more."""
        self.flush()
        self.is_closed = True
        for group in list(self._groups.values()):
            for watch in list(group):
                watch.end()

    def bookmark(self) -> None:
        """Tell those who asked for bookmarks that they have seen everything up to now."""
        self.flush()
        batch = Batch((bookmark(self.kind, self.seen()),))
        for group in list(self._groups.values()):
            for watch in list(group):
                if watch.bookmarks and watch.deliver is not None:
                    watch.deliver(batch)

    def compact(self, revision: int) -> None:
        """Forget states before `revision`: lists no longer continue there, and memory goes. Watches that few events
        lie behind still resume, so that a quiet kind's informers never list again."""
        self._compacted = revision
        while len(self._history) > _HISTORY_EVENTS_LEAST and self._history[0].revision <= revision:
            self._forget()

    # ---- inside

    def _initial(self, entries: list[Entry], revision: int, *, mark_end: bool) -> Iterator[Batch]:
        self.opened += len(entries)
        changes: list[Change] = []
        size = 0
        for entry in entries:
            changes.append(Change("ADDED", entry))
            size += len(entry.raw)
            if size > _INITIAL_BATCH_BYTES:
                yield Batch(changes)
                changes, size = [], 0
        if mark_end:
            changes.append(bookmark(self.kind, revision, initial_events_end=True))
        if changes:
            yield Batch(changes)

    def _concerned(self, key: Key) -> list[Selection]:
        near = self._near
        namespace, name = key
        found: list[Selection] = []
        for pin in (("", ""), (namespace, ""), (namespace, name), ("", name)) if namespace else (("", ""), ("", name)):
            found += near.get(pin, ())
        return found

    def _check_retained(self, revision: int) -> None:
        if revision < self.oldest:
            raise Expired(f"too old resource version: {revision} ({self.oldest})")

    def _remember(self, event: Event) -> None:
        history = self._history
        history.append(event)
        self._history_bytes += len(event.before.raw) if event.before is not None else 0
        while len(history) > HISTORY_EVENTS or (
            self._history_bytes > (_HISTORY_BYTES if len(history) > _HISTORY_EVENTS_LEAST else _HISTORY_BYTES_MOST)
        ):
            self._forget()

    def _forget(self) -> None:
        forgotten = self._history.popleft()
        self.oldest = forgotten.revision
        self._history_bytes -= len(forgotten.before.raw) if forgotten.before is not None else 0
