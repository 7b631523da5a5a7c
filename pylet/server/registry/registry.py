"""What the registry does for its callers: the HTTP room, loopback and the embedded parts.

Objects given to it are canonical (`wire.decode`), of the version the request names, and become the registry's. Entries
it answers carry the final bytes of the *stored* version with resourceVersion in place; other versions, Tables, metadata
and protobuf are the caller's business. All methods raise ApiError.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import orjson

from pylet.aio.apart import apart
from pylet.api import kinds
from pylet.api.errors import BadRequest, Forbidden, MethodNotAllowed, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.componentstatus import KIND as COMPONENT_STATUS
from pylet.api.kinds.componentstatus import all_healthy
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.kinds.ipaddress import KIND as IP_ADDRESS
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.kinds.scale import KIND as SCALE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.kinds.servicecidr import KIND as SERVICE_CIDR
from pylet.api.object import Key, Object, is_terminating
from pylet.api.timestamps import format_time
from pylet.client.interface import PatchType
from pylet.client.view import Entry, Table
from pylet.server.admission.chain import Chain
from pylet.server.admission.interface import CONNECT, CREATE, Plugin
from pylet.server.registry import customs, eviction, listing, pods, scale
from pylet.server.registry.addresses import Addresses
from pylet.server.registry.answers import Deleted, Page, Subscription, Written, success
from pylet.server.registry.feed import Convert
from pylet.server.registry.metadata import check_name, place_in
from pylet.server.registry.networks import Networks
from pylet.server.registry.ownership import Ownership
from pylet.server.registry.patching import applied, check_twice, check_type, patched
from pylet.server.registry.request import DeleteOptions, ListOptions, Request
from pylet.server.registry.selection import Selection, UnknownField, selection_of
from pylet.server.registry.served import Served
from pylet.server.registry.state import State
from pylet.server.registry.writing import Allocate, Writer
from pylet.store.interface import Store

_UNDECIDED: Mapping[str, Object] = {
    "LocalSubjectAccessReview": {"allowed": False},
    "SelfSubjectAccessReview": {"allowed": False},
    "SubjectAccessReview": {"allowed": False},
    "TokenReview": {"user": {}},
}
"""The status, as Go prints it, of what has not been answered yet."""
_COLLECTION_AT_ONCE = 64  # deletes of one deletecollection that share commits


class Registry:
    """Make one, `load` it, then let `run` live as long as it is used."""

    def __init__(
        self,
        store: Store,
        *,
        chain: Iterable[Plugin] = (),
        service_cidr: str = "10.43.0.0/16",
        node_ports: tuple[int, int] = (30000, 32767),
        served: Iterable[Kind] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.kinds = Served(served)
        """What is served now; custom resources come and go."""
        self._state = State(store, [kind for kind in self.kinds if is_stored(kind)])
        self.kinds.listen(self._replaced)
        self.admission = Chain(chain)
        """Who is asked about writes; more may join."""
        self._now = now
        self._service_network = service_cidr
        self._node_ports = node_ports
        self._addresses: Addresses | None = None
        self._allocators: dict[Kind, Allocate] = {}
        self._writer = Writer(
            self._state, self.admission, allocators=self._allocators, ownership=Ownership(self.kinds.by_kind), now=now
        )

    def convert_by(self, convert: Convert) -> None:
        """Have a webhook convert between versions of custom resources; to be told before any is read."""
        self._state.convert = convert

    async def load(self) -> None:
        """Fill the caches; nothing works before. Raises: StoreError."""
        await self._state.load()
        if COMPONENT_STATUS in self._state.caches:
            statuses = [Entry.of(COMPONENT_STATUS, obj) for obj in all_healthy()]
            self._state.caches[COMPONENT_STATUS].start(statuses, self.revision)
        if SERVICE in self._state.caches:
            cidrs, ips = (self._state.caches[kind].table for kind in (SERVICE_CIDR, IP_ADDRESS))
            networks = Networks(self._service_network.split(","), cidrs, ips)
            self._addresses = Addresses(self.table(SERVICE), networks, self._node_ports)
            self._allocators[SERVICE] = self._addresses.allocate

    async def run(self) -> None:
        """Follow the store until cancelled."""
        await self._state.run()

    # ---- reading

    @property
    def revision(self) -> int:
        """The revision the caches have reached, for all kinds together."""
        return self._state.revision

    def metrics(self) -> Iterator[str]:
        yield from self._state.metrics()
        yield from self._writer.metrics()
        if self._addresses is not None:
            yield from self._addresses.metrics()

    def table(self, kind: Kind) -> Table:
        """The watch cache's current state: live, shared, read-only."""
        return self._state.caches[kind.stored_as or kind].table

    async def load_table(self, kind: Kind) -> Table:
        """As `table`, of a custom kind that may not have been used yet. Raises: ApiError."""
        return (await self._state.cache_of(kind)).table

    async def get(self, request: Request, revision: str = "") -> Entry:
        """Subresources read here are `status` and `scale`, whose entry is made on demand."""
        await self._state.fresh(listing.revision_number(revision))
        if request.kind.storage is not None:
            await self._state.cache_of(request.kind)
        entry = self._entry(request)
        if request.subresource == "scale":
            return Entry.of(SCALE, scale.scale_of(request.kind, entry.object))
        return entry

    async def select(self, request: Request, options: ListOptions) -> Selection:
        """What is asked for: what cannot be read is refused before what does not fit. Raises: BadRequest, Invalid."""
        try:
            selection = await self._selection(request, options)
        except UnknownField:
            listing.validate(options)
            raise
        listing.validate(options)
        return selection

    async def list(self, request: Request, options: ListOptions) -> Page:
        cache = await self._state.cache_of(request.kind.stored_as or request.kind)
        selection = await self.select(request, options)
        await self._state.fresh(listing.asked_revision(options)[0])
        return listing.page(cache, selection, options, cache.seen())

    async def watch(self, request: Request, options: ListOptions) -> Subscription:
        """Raises: Expired, which a watch answers as an ERROR event of a 200 stream; others are plain refusals."""
        cache = await self._state.cache_of(request.kind.stored_as or request.kind)
        selection = await self._selection(request, options)
        listing.validate_watch(options)
        since = listing.revision_number(options.revision)
        if options.initial_events or (not since and options.initial_events is None):
            await self._state.fresh(since)
            mark_end = bool(options.initial_events) and options.bookmarks
            return cache.watch_from_now(selection, bookmarks=options.bookmarks, mark_end=mark_end)
        if options.initial_events is False and not since:
            since = cache.seen()
        return cache.watch(selection, since, bookmarks=options.bookmarks)

    # ---- writing

    async def create(self, request: Request, obj: Object) -> Written:
        """With a subresource (binding, eviction), `request.key` names the parent and the answer is a Status."""
        obj.setdefault("metadata", {})
        match request.kind.plural, request.subresource:
            case "pods", "binding":
                return await self._bind(request, obj)
            case "pods", "eviction":
                return await self._evict(request, obj)
            case "bindings", "" if not request.kind.group:
                pod = kinds.by_kind("", "v1", "Pod")
                assert pod is not None
                obj["metadata"].pop("uid", None)  # a new object has none; only what is part of a pod may name the pod's
                key = Key(request.key.namespace, obj["metadata"].get("name") or "")
                if not key.name:
                    raise BadRequest("Name parameter required.")
                return await self._bind(replace(request, kind=pod, key=key, subresource="binding"), obj, asked=request)
            case _, "":
                self._check_definition(request, obj)
                return await self._writer.create(request, _to_stored(request.kind, obj))
        raise MethodNotAllowed("the server does not allow this method on the requested resource")

    async def update(self, request: Request, obj: Object) -> Written:
        """PUT, of the object or of a subresource (status, scale, finalize, …)."""
        again = orjson.dumps(obj)  # the write loop changes what it is given, and may need it again
        first = [obj]

        def fresh() -> Object:
            return _to_stored(request.kind, first.pop() if first else orjson.loads(again))

        check_name(request.kind, obj.setdefault("metadata", {}), request.key)
        match request.subresource:
            case "scale":
                return await self._scale(request, lambda _: fresh())
            case "finalize":
                return await self._writer.change(request, lambda _: fresh())
        return await self._writer.change(request, lambda _: fresh(), create=fresh)

    async def patch(self, request: Request, patch: Any, type_: PatchType, duplicates: Sequence[str] = ()) -> Written:
        """`patch` is decoded JSON, whose text named `duplicates` twice. Raises: UnsupportedMediaType."""
        check_type(request.kind, type_)
        if type_ is PatchType.APPLY:
            return await self._apply(request, patch, duplicates)
        again = orjson.dumps(patch)
        kind, before = SCALE if request.subresource == "scale" else request.kind, list(request.warnings)

        def changed(current: Object) -> Object:
            obj, warnings = patched(kind, current, orjson.loads(again), type_, request.field_validation, duplicates)
            request.warnings[:] = [*before, *warnings]
            return obj

        if request.subresource == "scale":
            return await self._scale(request, changed)
        if request.kind.stored_as is None:
            return await self._writer.change(request, lambda entry: changed(_with_version(entry)))
        return await self._writer.change(
            request, lambda entry: _to_stored(kind, changed(kind.from_stored(_with_version(entry))))
        )

    async def _apply(self, request: Request, config: Any, duplicates: Sequence[str]) -> Written:
        kind, owners = request.kind, self._writer.ownership
        request.warnings.extend(check_twice(duplicates, request.field_validation))
        now = format_time(self._now())
        if request.subresource == "scale":
            return await self._scale(
                request, lambda live: owners.applied(request, SCALE, live, config, now), is_tracked=True
            )

        def changed(live: Object | None) -> Object:
            return _to_stored(kind, applied(kind, owners.applied(request, kind, live, config, now)))

        def changing(entry: Entry) -> Object:
            live = _with_version(entry)
            return changed(live if kind.stored_as is None else kind.from_stored(live))

        def fresh() -> Object:
            obj = changed(None)
            self._check_definition(request, obj)
            return obj

        return await self._writer.apply(request, changing, fresh)

    async def delete(self, request: Request, options: DeleteOptions) -> Deleted:
        request.warnings.extend(customs.delete_warnings(request.kind, options.propagation))
        return await self._writer.delete(request, options)

    async def delete_collection(self, request: Request, selection: ListOptions, options: DeleteOptions) -> Page:
        """The objects it found, as the list they are answered as."""
        request.warnings.extend(customs.delete_warnings(request.kind, options.propagation))
        found = await self.list(request, selection)

        async def delete(key: Key) -> None:
            with suppress(NotFound):  # somebody was faster
                await self._writer.delete(replace(request, key=key), options)

        for start in range(0, len(found.entries), _COLLECTION_AT_ONCE):
            keys = [entry.key for entry in found.entries[start : start + _COLLECTION_AT_ONCE]]
            results = await asyncio.gather(*map(delete, keys), return_exceptions=True)
            for failed in results:
                if failed is not None:
                    raise failed
        return found

    async def admit(self, request: Request, obj: Object, kind: Kind) -> None:
        """Ask admission about a create that stores nothing: token requests, reviews; `kind` is the body's."""
        place_in(request.kind, obj.setdefault("metadata", {}), request.key.namespace)
        for field, undecided in _UNDECIDED.get(kind.name, {}).items():
            obj.setdefault("status", {}).setdefault(field, undecided)
        self._writer.ownership.track(request, kind, obj, None, format_time(self._now()))
        await self._writer.admit(request, CREATE, request.kind, request.key, obj, None)

    async def connect(self, request: Request, options: Object) -> None:
        """Ask admission about a connection; `options` say where to, as PodExecOptions does."""
        await self._writer.admit(request, CONNECT, request.kind, request.key, options, None)

    # ---- inside

    @staticmethod
    async def _selection(request: Request, options: ListOptions) -> Selection:
        labels, fields = options.labels, options.fields
        read = partial(selection_of, request.kind, request.key.namespace, labels, fields)
        return await apart(len(labels) + len(fields), read)

    def _replaced(self, gone: Sequence[Kind], fresh: Sequence[Kind]) -> None:
        for kind in gone:
            self._state.drop(kind)

    def _check_definition(self, request: Request, obj: Object) -> None:
        """Refuse to create what a definition that is being deleted defined. Raises: Forbidden."""
        if request.kind.storage is not None:
            entry = self.table(DEFINITION).entries.get(Key("", request.kind.resource))
            if entry is not None and is_terminating(entry.object):
                why = "create not allowed while custom resource definition is terminating"
                raise Forbidden(request.kind.group, request.kind.plural, obj["metadata"].get("name") or "", why)

    def _entry(self, request: Request) -> Entry:
        kind = request.kind.stored_as or request.kind
        key = request.key if kind.namespaced else Key("", request.key.name)
        entry = self.table(kind).entries.get(key)
        if entry is None:
            raise NotFound(request.kind.group, request.kind.plural, key.name)
        return entry

    async def _scale(
        self, request: Request, changed: Callable[[Object], Object], *, is_tracked: bool = False
    ) -> Written:
        return await scale.write(self._writer, request, changed, format_time(self._now()), is_tracked=is_tracked)

    async def _bind(self, request: Request, binding: Object, *, asked: Request | None = None) -> Written:
        await pods.bind(self._writer, request, binding, format_time(self._now()), asked=asked or request)
        return _status()

    async def _evict(self, request: Request, body: Object) -> Written:
        budgets = self.table(BUDGET).entries.values() if BUDGET in self._state.caches else ()
        await eviction.evict(self._writer, request, body, lambda: self._entry(request), budgets, self._now)
        return _status()


def is_stored(kind: Kind) -> bool:
    """Whether objects of this kind are kept: not those answered at once, nor other versions of another kind."""
    return "get" in kind.verbs and kind.stored_as is None


def _to_stored(kind: Kind, obj: Object) -> Object:
    obj.setdefault("metadata", {})
    return obj if kind.stored_as is None else kind.to_stored(obj)


def _with_version(entry: Entry) -> Object:
    obj: Object = orjson.loads(entry.raw)
    return obj


def _status() -> Written:
    made = orjson.dumps(orjson.loads(success()) | {"code": 201})
    return Written(Entry(Key("", ""), 0, made, "", {}, (), ()), created=True)
