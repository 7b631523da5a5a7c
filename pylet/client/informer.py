"""Informers keep Tables equal to what the API has: list, then watch, then resume; nobody polls.

States of one informer: listing → watching → (Expired → listing | Unreachable → watching again after a back-off).
While no list succeeds, a table may be filled with what a Memory knows; the first list then makes it what it is.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import NamedTuple, Protocol

from pylet.api.errors import ApiError, Expired
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, key_of, revision_of
from pylet.client.interface import Changed, Client, Unreachable
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_BACKOFF_SECONDS = (0.2, 10.0)  # a node that stood alone shall hear of its server soon
_PAGE = 500
_PATIENCE_SECONDS = 5.0  # with a server that does not answer, where a Memory does


class Selection(NamedTuple):
    kind: Kind
    namespace: str = ""
    labels: str = ""
    fields: str = ""


class Memory(Protocol):
    """What tables held at an earlier time."""

    def recall(self, which: Selection) -> Iterable[Object] | None:
        """None where nothing is known."""
        ...

    def follow(self, which: Selection, table: Table) -> None:
        """Called once the table holds what the server has."""
        ...


class NoMemory:
    def recall(self, which: Selection) -> Iterable[Object] | None:
        return None

    def follow(self, which: Selection, table: Table) -> None:
        return


_NOTHING = NoMemory()


class Informer:
    """Keeps `table` equal to one selection of one kind, for as long as `run` runs."""

    def __init__(
        self,
        client: Client,
        which: Selection,
        memory: Memory = _NOTHING,
        slim: Callable[[Object], Object] | None = None,
    ) -> None:
        """`slim` makes of an object the one that is kept."""
        self.table = Table(which.kind)
        self._slim = slim
        self._client = client
        self._which = which
        self._selection = {"namespace": which.namespace, "labels": which.labels, "fields": which.fields}
        self._memory = memory
        self._synced = asyncio.Event()

    async def synced(self) -> None:
        """Wait until the table has been filled once."""
        await self._synced.wait()

    def recall(self) -> None:
        """Make do with what is remembered, if anything is, until the server says how things are."""
        if not self._synced.is_set() and (known := self._memory.recall(self._which)) is not None:
            log.info("%s are taken from this node's memory: the server is away", self.table.kind.plural)
            self.table.remember([self._entry(self.table.kind, obj) for obj in known])
            self._synced.set()

    async def run(self) -> None:
        revision, delay, is_first = "", _BACKOFF_SECONDS[0], True
        while True:
            try:
                if not revision:
                    revision = await self._list()
                    self._synced.set()
                    if is_first:
                        self._memory.follow(self._which, self.table)
                        is_first = False
                async for changes in self._client.watch(self.table.kind, since=revision, **self._selection):
                    revision = self._apply(changes) or revision
                    delay = _BACKOFF_SECONDS[0]
                continue
            except Expired:
                revision = ""
            except Unreachable as lost:
                log.warning("%s; trying again in %.1f s", lost.message, delay)
                self.recall()
            except ApiError as refused:
                log.warning("watch %s: %s; listing again in %.1f s", self.table.kind.plural, refused.message, delay)
                revision = ""
                if refused.code >= 500:
                    self.recall()
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, _BACKOFF_SECONDS[1])

    async def _list(self) -> str:
        kind, entries, more = self.table.kind, [], ""
        while True:
            page = await self._client.list(kind, limit=_PAGE, more=more, **self._selection)
            entries += [self._known(self._entry(kind, item)) for item in page.items]
            more = page.more
            if not more:
                self.table.replace(entries, int(page.revision))
                self.table.said()
                return page.revision

    def _known(self, entry: Entry) -> Entry:
        """The one there is, where it says the same: a list without news is not in memory beside the table."""
        known = self.table.entries.get(entry.key)
        if known is None or (known.revision, known.uid, known.raw) != (entry.revision, entry.uid, entry.raw):
            return entry
        return known

    def _apply(self, changes: Iterable[Changed]) -> str:
        revision = ""
        for change in changes:
            revision = change.object["metadata"]["resourceVersion"]
            if change.type == "DELETED":
                self.table.remove(key_of(change.object), revision_of(change.object))
            elif change.type != "BOOKMARK":
                self.table.put(self._entry(self.table.kind, change.object))
        return revision

    def _entry(self, kind: Kind, obj: Object) -> Entry:
        # A list's items carry no kind of their own; readers expect every object to say what it is.
        obj.setdefault("apiVersion", kind.api_version)
        obj.setdefault("kind", kind.name)
        return Entry.of(kind, obj if self._slim is None else self._slim(obj))


class Informers:
    """Tables on demand, each kept by one informer that lives in `group`.

    The same selection asked for twice is the same table. A `key` selects one object, as the kubelet does with the
    ConfigMaps and Secrets of its pods; `release` ends such a watch when its last reader is gone. `slim` makes what is
    kept of objects of which there are many.
    """

    def __init__(
        self,
        client: Client,
        group: asyncio.TaskGroup,
        memory: Memory = _NOTHING,
        slim: Mapping[Kind, Callable[[Object], Object]] = MappingProxyType({}),
    ) -> None:
        self._client = client
        self._group = group
        self._memory = memory
        self._slim = slim
        self._running: dict[Selection, tuple[Informer, asyncio.Task[None]]] = {}

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        """The filled table of that selection; waits for the first list, or what is remembered instead."""
        which = Selection(kind, namespace, labels, fields)
        if which not in self._running:
            informer = Informer(self._client, which, self._memory, self._slim.get(kind))
            self._running[which] = informer, self._group.create_task(informer.run(), name=f"informer {kind.plural}")
        informer = self._running[which][0]
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                await informer.synced()
        except TimeoutError:
            informer.recall()
            await informer.synced()
        return informer.table

    async def object_table(self, kind: Kind, key: Key) -> Table:
        """The table that holds just the object `key`, or nothing while it does not exist."""
        return await self.table(kind, namespace=key.namespace, fields=f"metadata.name={key.name}")

    def release(self, kind: Kind, key: Key) -> None:
        running = self._running.pop(Selection(kind, key.namespace, fields=f"metadata.name={key.name}"), None)
        if running is not None:
            running[1].cancel()
