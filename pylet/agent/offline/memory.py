"""What of the API a node keeps on its disk, one file each: its tables, and the objects its pods refer to.

Files are written because something changed and for nothing else: a little later, and a table ever later while it goes
on changing, for flash wears out. An object that no pod of this node names any more is removed.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Iterable, Iterator, Mapping

import orjson

from pylet.agent.offline.vault import Vault
from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig, owners_of
from pylet.client.informer import Selection
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_GATHER_SECONDS = 1.0
_LONGEST_SECONDS = 600.0
_MOST_BYTES = 64 << 20  # of one table's JSON
_BY_NAME = "metadata.name="
_OBJECT = "o-"
_BETWEEN = b",\n"  # which is nowhere within an entry


class DiskMemory:
    """A `Memory` of informers, and of single objects. `run` writes until cancelled."""

    def __init__(self, vault: Vault, clock: Clock) -> None:
        self._vault = vault
        self._clock = clock
        self._digests: dict[str, bytes] = {}
        self._fresh: asyncio.Queue[_Page] = asyncio.Queue()
        self._pending: dict[str, bytes | None] = {}
        self._wake = asyncio.Event()
        self._are_written = asyncio.Event()
        self._are_written.set()
        self._pages: list[_Page] = []
        self._begun: set[asyncio.Task[None]] = set()

    # ---- tables

    def recall(self, which: Selection) -> Iterable[Object] | None:
        """Decoded one after another: all of a large cluster's at once would be ten times their JSON."""
        if which.fields.startswith(_BY_NAME):
            found = self.recall_object(which.kind, Key(which.namespace, which.fields.removeprefix(_BY_NAME)))
            return None if found is None else [found]
        content = self._vault.read(_table_file(which))
        if content is None:
            return None
        return (item for line in content[1:-1].split(_BETWEEN) for item in orjson.loads(b"[%b]" % line))

    def follow(self, which: Selection, table: Table) -> None:
        if which.fields.startswith(_BY_NAME):
            key = Key(which.namespace, which.fields.removeprefix(_BY_NAME))
            table.listen(lambda before, after: self._object_changed(which.kind, key, after))
            self._object_changed(which.kind, key, table.entries.get(key))
            return
        self._fresh.put_nowait(_Page(which, table))

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._write_objects())
                while True:
                    page = await self._fresh.get()
                    self._pages.append(page)
                    group.create_task(self._keep(page))
        finally:
            await asyncio.gather(*self._begun)
            changed = [page for page in self._pages if page.changed.is_set()]
            await self._put_all(self._pending | {page.file: content for page in changed if (content := page.content())})

    async def _keep(self, page: _Page) -> None:
        """Write the table now, then after changes, ever less often while they go on."""
        rest = _GATHER_SECONDS
        while True:
            if not page.changed.is_set():
                await page.changed.wait()
                rest = _GATHER_SECONDS
            await self._clock.sleep(_GATHER_SECONDS)
            page.changed.clear()
            await self._save(page)
            await self._clock.sleep(rest)
            rest = min(rest * 2, _LONGEST_SECONDS)

    async def _save(self, page: _Page) -> None:
        """Apart from who waits for the next time: the table's JSON may be big, and that wait long."""
        content = page.content()
        if content is None:
            log.warning("%s are too many to remember them for starts without a server", page.which.kind.plural)
            return
        await self._put_all({page.file: content})
        if page.which.kind is POD and page.which.fields:
            await self._are_written.wait()  # or one that comes to the disk meanwhile would stay there
            for name in await asyncio.to_thread(self._unnamed, content):
                self._forget(name)

    async def _put_all(self, files: Mapping[str, bytes | None]) -> None:
        """None is no file. What has begun ends, though nobody waits for it any more."""
        begun = asyncio.create_task(asyncio.to_thread(self._put, files))
        self._begun.add(begun)
        begun.add_done_callback(self._begun.discard)
        await asyncio.shield(begun)

    def _put(self, files: Mapping[str, bytes | None]) -> None:
        """Unless they are so already. In a thread: it waits for the disk."""
        for name, content in files.items():
            try:
                if content is None:
                    self._vault.remove(name)
                elif self._vault.read(name) != content:
                    self._vault.write(name, content)
            except OSError as failed:
                self._digests.pop(name, None)
                log.warning("what this node needs to start without a server cannot be written: %s", failed)

    # ---- objects

    def recall_object(self, kind: Kind, key: Key) -> Object | None:
        return self._recall(_object_file(kind, key))

    def remember_object(self, kind: Kind, obj: Object, key: Key) -> None:
        self._remember(_object_file(kind, key), obj)

    def forget_object(self, kind: Kind, key: Key) -> None:
        self._forget(_object_file(kind, key))

    def recall_token(self, account: Key, spec: Object) -> Object | None:
        return self._recall(_token_file(account, spec))

    def remember_token(self, account: Key, spec: Object, answer: Object) -> None:
        """As long as there is the pod that the token was asked for."""
        pod = dig(spec, "boundObjectRef", "uid", default="")
        self._remember(_token_file(account, spec), {**answer, "metadata": {"name": pod}})

    def _object_changed(self, kind: Kind, key: Key, after: Entry | None) -> None:
        if after is None:
            self.forget_object(kind, key)
        else:
            self.remember_object(kind, after.object, key)

    async def _write_objects(self) -> None:
        while True:
            await self._wake.wait()
            await self._clock.sleep(_GATHER_SECONDS)  # each of many pods that come at once brings a token
            self._wake.clear()
            gathered = dict(self._pending)
            await self._put_all(gathered)
            for name, content in gathered.items():
                if self._pending[name] is content:  # else it has changed meanwhile
                    del self._pending[name]
            if not self._pending:
                self._are_written.set()

    def _recall(self, name: str) -> Object | None:
        content = self._pending[name] if name in self._pending else self._vault.read(name)
        if content is None:
            return None
        found: Object = orjson.loads(content)
        return found

    def _remember(self, name: str, obj: Object) -> None:
        content = orjson.dumps(obj)
        digest = hashlib.sha256(content).digest()
        if self._digests.get(name) != digest:
            self._digests[name] = digest
            self._later(name, content)

    def _forget(self, name: str) -> None:
        self._digests.pop(name, None)
        self._later(name, None)

    def _later(self, name: str, content: bytes | None) -> None:
        self._pending[name] = content
        self._are_written.clear()
        self._wake.set()

    def _unnamed(self, pods: bytes) -> list[str]:
        held = {name: self._vault.read(name) for name in self._vault.names() if name.startswith(_OBJECT)}
        return list(unnamed({name: orjson.loads(content) for name, content in held.items() if content}, pods))


class _Page:
    def __init__(self, which: Selection, table: Table) -> None:
        self.which = which
        self.file = _table_file(which)
        self.changed = asyncio.Event()
        self.changed.set()
        self._table = table
        table.listen(self._hear)

    def content(self) -> bytes | None:
        """The objects as JSON, in the order of their keys: the same objects are the same bytes. None if too many."""
        entries = sorted(self._table.entries.values(), key=lambda entry: entry.key)
        content = b"[%b]" % _BETWEEN.join([entry.raw for entry in entries])
        return content if len(content) <= _MOST_BYTES else None

    def _hear(self, before: Entry | None, after: Entry | None) -> None:
        self.changed.set()


def unnamed(held: dict[str, Object], pods: bytes) -> Iterator[str]:
    """The files of objects whose name, owner or volume is found neither in the pods nor in what else is kept.

    By text: it keeps too much rather than too little, and needs not know every field that refers to something.
    """
    texts, left = [pods], dict(held)
    while found := [name for name, obj in left.items() if _is_in(obj, texts)]:
        texts = [orjson.dumps(left.pop(name)) for name in found]
    yield from left


def _is_in(obj: Object, texts: Iterable[bytes]) -> bool:
    terms = [obj["metadata"]["name"], *(owner["uid"] for owner in owners_of(obj))]
    terms.append(dig(obj, "spec", "source", "persistentVolumeName", default=""))
    return any(f'"{term}"'.encode() in text for term in terms if term for text in texts)


def _table_file(which: Selection) -> str:
    return "t-" + _hashed(which.kind.group, which.kind.plural, *which[1:])


def _object_file(kind: Kind, key: Key) -> str:
    return _OBJECT + _hashed(kind.group, kind.plural, *key)


def _token_file(account: Key, spec: Object) -> str:
    return _OBJECT + _hashed("token", *account, orjson.dumps(spec, option=orjson.OPT_SORT_KEYS).decode())


def _hashed(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]
