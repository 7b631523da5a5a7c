"""The one write path: PUT, every patch, status, scale, binding, eviction and create all end here.

current → change → default → note owners → admit → allocate → prepare → validate → admission validates → encode once →
compare-and-swap; again on a lost race. A client that names a resourceVersion loses its race with 409 at the next turn,
because the version is checked against what is current then. A write that changes nothing writes nothing. What takes
long with large objects is done apart from the loop: a pod of 3 MB kept others waiting for 16 s.
Source: apiserver pkg/registry/generic/registry/store.go, pkg/registry/rest/{create,update}.go.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Protocol, TypeAlias

import orjson

from pylet.api import schema
from pylet.api.errors import AlreadyExists, ApiError, NotFound
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.api.schema import emptied
from pylet.api.timestamps import format_time
from pylet.client.view import Entry
from pylet.server.admission.chain import Chain
from pylet.server.admission.interface import CREATE, DELETE, UPDATE
from pylet.server.patient import patient
from pylet.server.registry import customs, deletion, metadata
from pylet.server.registry.admitting import Admission, Admitted
from pylet.server.registry.answers import Deleted, Written, deleted_well
from pylet.server.registry.cache import Cache
from pylet.server.registry.form import entry_of, stored
from pylet.server.registry.judging import check_version, judge, other_uid, warn
from pylet.server.registry.keeping import Keeper
from pylet.server.registry.ownership import Ownership, same_but_times
from pylet.server.registry.request import DeleteOptions, Request
from pylet.server.registry.state import State
from pylet.server.registry.versions import converting
from pylet.store import interface as store

Changing: TypeAlias = Callable[[Entry], Object]
"""Makes the new object out of the current one: a private copy, canonical, of the stored version."""


class Allocate(Protocol):
    """Completes an object with what the server hands out, and holds it until the write is decided."""

    def __call__(self, obj: Object, old: Object | None, /, *, dry_run: bool) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Through:
    """A write of an object through what another kind shows of it: admission sees that.

    `put` brings what was `shown`, and may have changed, back into the object.
    """

    request: Request
    shown: Callable[[Object], Object]
    put: Callable[[Object, Object], object]


_MUTATED = " after mutating admission happens"
_NAME_ATTEMPTS = 8


class GenerateNameConflict(AlreadyExists):
    wording = '{resource} "{name}" already exists, the server was not able to generate a unique name for the object'


class Writer:
    def __init__(
        self,
        state: State,
        chain: Chain,
        *,
        allocators: Mapping[Kind, Allocate],
        ownership: Ownership,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._state = state
        self._keeper = Keeper(state)
        self._admission = Admission(state, chain, now)
        self._allocators = allocators
        self.ownership = ownership
        self._now = now

    def metrics(self) -> Iterator[str]:
        yield from self._keeper.metrics()
        yield from self._admission.times.lines()

    # ---- create

    async def create(self, request: Request, obj: Object, *, is_tracked: bool = False) -> Written:
        """`is_tracked`: the object's managedFields say already who owns what."""
        kind, cache = await self._stored_kind(request)
        meta = obj.setdefault("metadata", {})
        now = format_time(self._now())
        metadata.begin_create(kind, obj, request.key.namespace)
        metadata.dedupe_owners(meta, request.warnings)
        completed = partial(self._complete, request, kind, obj, None, now, is_tracked=is_tracked)
        await converting(request, self._state.convert, request.size, completed)
        key = Key(meta.get("namespace", ""), meta.get("name", ""))
        admitted = await self._admission.admit(request, CREATE, kind, key, obj, None)
        metadata.begin_create(kind, obj, request.key.namespace)
        meta = obj["metadata"]
        metadata.dedupe_owners(meta, request.warnings, _MUTATED)
        meta["uid"] = str(uuid.uuid4())
        meta["creationTimestamp"] = now
        if not (meta.get("name") or meta.get("generateName")) and customs.names_itself(kind):
            meta["name"] = str(uuid.uuid4())
        key = Key(meta.get("namespace", ""), meta.get("name", ""))
        generates = not meta.get("name") and bool(meta.get("generateName"))
        for attempt in range(1, _NAME_ATTEMPTS + 1):
            if generates:
                meta["name"] = metadata.generate_name(meta["generateName"])
                key = Key(key.namespace, meta["name"])
            try:
                return Written(await self._create(request, kind, cache, key, obj, admitted), created=True)
            except store.KeyExists as taken:
                if not generates:
                    raise self._exists(request.kind, cache, key) from taken
                if attempt == _NAME_ATTEMPTS:
                    raise GenerateNameConflict(request.kind.group, request.kind.plural, key.name) from taken
            finally:
                await admitted.settle()
        raise AssertionError("unreachable")

    async def _create(
        self, request: Request, kind: Kind, cache: Cache, key: Key, obj: Object, admitted: Admitted
    ) -> Entry:
        with nullcontext() if request.subresource else self._allocation(request, kind, obj, None):
            kind.strategy.prepare_create(obj)
            if kind.strategy.has_status and "status" not in obj:
                schema.default_kind(kind, obj)  # an empty status, as Go prints it
            await patient(request.size, partial(judge, request, kind, key, obj, None))
            emptied.forget()  # what is kept is not shown otherwise
            await admitted.validate(key)
            metadata.end_create(obj["metadata"], dry_run=request.dry_run)
            if request.dry_run:
                await self._state.encoded(kind, obj)  # it may fail to be converted
                if key in cache.table.entries:
                    raise store.KeyExists(key.name)
                return Entry.of(kind, obj, stored(kind, obj))
            return await self._keeper.keep(cache, key, obj)

    @staticmethod
    def _exists(kind: Kind, cache: Cache, key: Key) -> ApiError:
        error = AlreadyExists(kind.group, kind.plural, key.name)
        entry = cache.table.entries.get(key)
        if entry is not None and "deletionTimestamp" in entry.object["metadata"]:
            error.message = f"object is being deleted: {error.message}"
        return error

    # ---- change

    async def change(
        self,
        request: Request,
        changing: Changing,
        *,
        create: Callable[[], Object] | None = None,
        is_tracked: bool = False,
        through: Through | None = None,
    ) -> Written:
        """Change one object; `create` makes it where there is none, if the kind allows a PUT to.

        `is_tracked`: what `changing` makes says in its managedFields already who owns what.
        """
        kind, cache = await self._stored_kind(request)
        key = request.key if kind.namespaced else Key("", request.key.name)
        while True:
            entry = cache.table.entries.get(key)
            if entry is None:
                if create is None or not customs.is_created_by_update(kind, request.subresource):
                    raise NotFound(request.kind.group, request.kind.plural, key.name)
                obj = create()
                metadata.check_name(kind, obj["metadata"], key)
                if uid := obj["metadata"].get("uid"):
                    raise other_uid(request, key, uid, "")
                obj["metadata"].pop("resourceVersion", None)
                await request.may_create()
                return await self.create(request, obj)
            try:
                size = 0 if through is not None else request.size + len(entry.raw)
                obj = await converting(request, self._state.convert, size, partial(changing, entry))
                changed = await self._change(request, kind, cache, entry, obj, is_tracked=is_tracked, through=through)
                return Written(changed)
            except store.Conflict as lost:
                await self._state.reached(lost.current)
            except store.KeyMissing as gone:
                raise NotFound(request.kind.group, request.kind.plural, key.name) from gone

    async def apply(self, request: Request, changing: Changing, create: Callable[[], Object]) -> Written:
        """As `change` with an object and owners that server-side apply made; `create` makes it where there is none."""
        kind, cache = await self._stored_kind(request)
        key = request.key if kind.namespaced else Key("", request.key.name)
        while True:
            if key in cache.table.entries or not customs.is_created_by_apply(kind, request.subresource):
                return await self.change(request, changing, is_tracked=True)
            obj = await converting(request, self._state.convert, request.size, create)
            metadata.check_name(kind, obj["metadata"], key)
            try:
                await request.may_create()
                return await self.create(request, obj, is_tracked=True)
            except AlreadyExists:
                if key not in cache.table.entries:
                    raise

    async def _change(
        self,
        request: Request,
        kind: Kind,
        cache: Cache,
        entry: Entry,
        obj: Object,
        *,
        is_tracked: bool,
        through: Through | None,
    ) -> Entry:
        key, old = entry.key, entry.object
        meta = obj["metadata"]
        metadata.check_name(kind, meta, key)
        # A Scale without a version is put into whatever there is.
        check_version(request, meta, entry, is_needed=through is None)
        metadata.dedupe_owners(meta, request.warnings, _MUTATED if request.verb == "patch" else "")
        size, now = request.size + len(entry.raw), format_time(self._now())
        completed = partial(self._complete, request, kind, obj, old, now, is_tracked=is_tracked)
        await converting(request, self._state.convert, size, completed)
        if through is None:
            admitted = await self._admission.admit(request, UPDATE, kind, key, obj, old)
        else:
            shown = through.shown(obj)
            admitted = await self._admission.admit(through.request, UPDATE, kind, key, shown, through.shown(old))
            through.put(obj, shown)
        metadata.dedupe_owners(obj["metadata"], request.warnings, _MUTATED)
        try:
            return await self._swap(request, kind, cache, entry, obj, admitted)
        finally:
            await admitted.settle()

    async def _swap(
        self, request: Request, kind: Kind, cache: Cache, entry: Entry, obj: Object, admitted: Admitted
    ) -> Entry:
        """Put `obj` into the place of `entry`."""
        key, old = entry.key, entry.object
        with nullcontext() if request.subresource else self._allocation(request, kind, obj, old):
            if "generation" in old["metadata"]:
                obj["metadata"]["generation"] = old["metadata"]["generation"]
            else:
                obj["metadata"].pop("generation", None)
            kind.strategy.prepare_update(obj, old, request.subresource)
            meta = obj["metadata"]
            metadata.carry_over(meta, old["metadata"])
            meta["resourceVersion"] = old["metadata"]["resourceVersion"]
            is_same = _is_same(obj, old)
            if not is_same or kind.schema is not None:  # a definition's rules may have changed, or compare
                del meta["resourceVersion"]
                await patient(request.size + len(entry.raw), partial(judge, request, kind, key, obj, old))
                emptied.forget()
            else:
                warn(request, kind, obj, old)
            await admitted.validate(key)
            if is_same:
                return entry
            if deletion.is_finished(kind, obj, old):
                if not request.dry_run:
                    await self._keeper.remove(cache, entry)
                return entry_of(kind, stored(kind, obj), entry.revision)
            if request.dry_run:
                return entry_of(kind, stored(kind, obj), entry.revision)
            return await self._keeper.keep(cache, key, obj, entry)

    async def put(self, request: Request, changing: Changing) -> Entry:
        """Write what `changing` makes, past admission and the kind's rules: for what the server itself decides."""
        kind, cache = await self._stored_kind(request)
        while True:
            entry = cache.table.entries.get(request.key)
            if entry is None:
                raise NotFound(kind.group, kind.plural, request.key.name)
            obj = changing(entry)
            if request.dry_run:
                return entry_of(kind, stored(kind, obj), entry.revision)
            try:
                return await self._keeper.keep(cache, entry.key, obj, entry)
            except store.Conflict as lost:
                await self._state.reached(lost.current)
            except store.KeyMissing as gone:
                raise NotFound(kind.group, kind.plural, request.key.name) from gone

    # ---- delete

    async def delete(self, request: Request, options: DeleteOptions, *, is_admitted: bool = False) -> Deleted:
        kind, cache = await self._stored_kind(request)
        key = request.key if kind.namespaced else Key("", request.key.name)
        still_there = 202 if options.is_cascading else 200
        while True:
            entry = cache.table.entries.get(key)
            if entry is None:
                raise NotFound(request.kind.group, request.kind.plural, key.name)
            obj = private_copy(entry)
            outcome = deletion.decide(kind, obj, options, entry.revision, self._now())
            if not is_admitted:
                await self.admit(request, DELETE, kind, key, None, entry.object, options)
            try:
                match outcome:
                    case deletion.Mark(marked) if request.dry_run:
                        return Deleted(entry_of(kind, stored(kind, marked), entry.revision).raw, still_there)
                    case deletion.Mark(marked):
                        return Deleted((await self._keeper.keep(cache, key, marked, entry)).raw, still_there)
                    case deletion.Remove(marked) if not request.dry_run:
                        await self._keeper.remove(cache, entry, last=marked)
                    case deletion.Pending():
                        return Deleted(entry.raw, still_there)
                if not customs.answers_deleted(kind):
                    return Deleted(deleted_well(request.kind, entry))
                return Deleted(entry_of(kind, stored(kind, obj), entry.revision).raw)
            except store.Conflict as lost:
                await self._state.reached(lost.current)
            except store.KeyMissing as gone:
                raise NotFound(request.kind.group, request.kind.plural, key.name) from gone

    # ---- inside

    async def admit(
        self,
        request: Request,
        operation: str,
        kind: Kind,
        key: Key,
        obj: Object | None,
        old: Object | None,
        deleting: DeleteOptions | None = None,
    ) -> None:
        """Ask admission about what is written elsewhere, or not at all (reviews, tokens, deletions, connections)."""
        admitted = await self._admission.admit(request, operation, kind, key, obj, old, deleting)
        try:
            await admitted.validate(key)
        finally:
            await admitted.settle()

    def _complete(
        self, request: Request, kind: Kind, obj: Object, old: Object | None, now: str, *, is_tracked: bool
    ) -> None:
        """Fill in what was left out, and note who owns what."""
        schema.default_kind(kind, obj, old)
        if not is_tracked:
            self.ownership.track(request, kind, obj, old, now)

    def _allocation(
        self, request: Request, kind: Kind, obj: Object, old: Object | None
    ) -> AbstractContextManager[None]:
        allocate = self._allocators.get(kind)
        return nullcontext() if allocate is None else allocate(obj, old, dry_run=request.dry_run)

    async def _stored_kind(self, request: Request) -> tuple[Kind, Cache]:
        kind = request.kind.stored_as or request.kind
        return kind, await self._state.cache_of(kind)


def private_copy(entry: Entry) -> Object:
    """The entry's object to change freely, without its resourceVersion."""
    obj: Object = orjson.loads(entry.raw)
    del obj["metadata"]["resourceVersion"]
    return obj


def _is_same(obj: Object, old: Object) -> bool:
    """Whether nothing but the time of an owner would change."""
    meta = old["metadata"]
    if same_but_times(obj["metadata"].get("managedFields"), meta.get("managedFields")):
        obj = {**obj, "metadata": {**obj["metadata"], "managedFields": meta["managedFields"]}}
    # == takes True for 1 and 1 for 1.0, so what looks the same is compared again as JSON; that is rare.
    if obj != old:
        return False
    return orjson.dumps(obj, option=orjson.OPT_SORT_KEYS) == orjson.dumps(old, option=orjson.OPT_SORT_KEYS)
