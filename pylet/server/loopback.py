"""The Client protocol straight onto the registry, and its tables: how the server's own parts reach the API.

The same admission and the same rules as over HTTP; no authorization, no bytes on a wire. Tables are the watch caches
themselves, so a write is in them when it returns, and an object is decoded once for all readers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import orjson

from pylet.api import kinds
from pylet.api.errors import BadRequest, Expired, NotFound
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, key_of
from pylet.api.wire import decode
from pylet.client.interface import Changed, Changes, Listing, PatchType
from pylet.client.view import Entry, Table
from pylet.server.registry import (
    END,
    LOOPBACK,
    Batch,
    Deleted,
    DeleteOptions,
    ListOptions,
    Registry,
    Request,
    User,
    Written,
)

if TYPE_CHECKING:
    from pylet.server.audit.auditor import Auditor

T = TypeVar("T")
Answer: TypeAlias = Callable[[Request, Object], Awaitable[Object]]
"""Answers a create that stores nothing, such as a token request."""

_MANAGERS = ("kubelet", "kube-scheduler")
_MOST_PENDING = 10_000  # changes a slow reader may leave behind before it has to list again


class Loopback:
    """A Client for `user`, who owns fields as `manager`.

    `answers` are creates that are not the registry's, by plural and subresource; `auditor` hears of what is written.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        user: User = LOOPBACK,
        manager: str = "",
        answers: Mapping[tuple[str, str], Answer] | None = None,
        auditor: Auditor | None = None,
    ) -> None:
        self._auditor = auditor
        self._registry = registry
        self._user = user
        name = user.name
        part = "kubelet" if name.startswith("system:node:") else name.removeprefix("system:")
        usual = part if part in _MANAGERS else "kube-controller-manager"
        self._manager = manager or usual
        self._answers = answers or {}

    # ---- Client

    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Object:
        return _shown(kind, await self._registry.get(self._request("get", kind, key, subresource)))

    async def list(
        self,
        kind: Kind,
        namespace: str = "",
        *,
        labels: str = "",
        fields: str = "",
        limit: int = 0,
        more: str = "",
        revision: str = "",
    ) -> Listing:
        options = ListOptions(labels=labels, fields=fields, limit=limit, more=more, revision=revision)
        page = await self._registry.list(self._request("list", kind, Key(namespace, "")), options)
        return Listing([_shown(kind, entry) for entry in page.entries], str(page.revision), page.more)

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        body = _canonical(kind, obj)
        meta = body.setdefault("metadata", {})
        request = self._request("create", kind, key or Key(meta.get("namespace", ""), ""), subresource)
        if (answer := self._answers.get((kind.plural, subresource))) is not None:
            return await answer(request, body)
        written = await self._told(request, body, self._registry.create(request, body), _made)
        return _shown(kind, written.entry)

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        body, request = _canonical(kind, obj), self._request("update", kind, key_of(obj), subresource)
        written = await self._told(request, body, self._registry.update(request, body), _made)
        return _shown(kind, written.entry)

    async def patch(
        self,
        kind: Kind,
        key: Key,
        patch: Any,
        *,
        type_: PatchType = PatchType.MERGE,
        subresource: str = "",
        manager: str = "",
        force: bool = False,
    ) -> Object:
        request = self._request("patch", kind, key, subresource, manager=manager, force=force)
        written = await self._told(request, patch, self._registry.patch(request, patch, type_), _made)
        return _shown(kind, written.entry)

    async def delete(
        self,
        kind: Kind,
        key: Key,
        *,
        uid: str = "",
        revision: str = "",
        grace_seconds: int | None = None,
        propagation: str = "",
    ) -> Object:
        options = DeleteOptions(
            uid=uid or None, revision=revision or None, grace_seconds=grace_seconds, propagation=propagation
        )
        request = self._request("delete", kind, key)
        told = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal", **options.body()}
        found = await self._told(request, told, self._registry.delete(request, options), _ended)
        deleted: Object = orjson.loads(found.body)
        return deleted

    async def watch(
        self, kind: Kind, namespace: str = "", *, since: str, labels: str = "", fields: str = ""
    ) -> AsyncIterator[Changes]:
        options = ListOptions(labels=labels, fields=fields, revision=since, bookmarks=True)
        subscription = await self._registry.watch(self._request("watch", kind, Key(namespace, "")), options)
        pending: Changes = []
        came = asyncio.Event()
        is_over = False

        def deliver(batch: Batch) -> None:
            nonlocal is_over
            is_over = is_over or batch is END
            pending.extend(Changed(change.type, _shown(kind, change.entry)) for change in batch.changes)
            came.set()

        try:
            for batch in subscription.initial:
                deliver(batch)
            subscription.follow(deliver)
            while True:
                await came.wait()
                came.clear()
                if len(pending) > _MOST_PENDING:
                    raise Expired(f"watch {kind.plural}: more than {_MOST_PENDING} changes are waiting; list again")
                changes, pending = pending, []
                if changes:
                    yield changes
                if is_over:
                    return
        finally:
            subscription.close()

    # ---- Tables

    async def table(self, kind: Kind, *, namespace: str = "", labels: str = "", fields: str = "") -> Table:
        return self._registry.table(kind)

    async def object_table(self, kind: Kind, key: Key) -> Table:
        return self._registry.table(kind)

    def release(self, kind: Kind, key: Key) -> None:
        """Nothing to let go of: the table is the cache."""

    # ---- inside

    async def _told(
        self, request: Request, body: Any, writing: Awaitable[T], answered: Callable[[T], tuple[int, bytes]]
    ) -> T:
        """What `writing` brings, which the audit log hears of."""
        if self._auditor is None:
            return await writing
        return await self._auditor.inside(request, body, writing, answered)

    def _served(self, kind: Kind) -> Kind:
        """The one that stands for a custom kind which a caller only knows by name. Raises: NotFound."""
        if kind.definition or kind.schema is not None:
            return kind
        found = self._registry.kinds.by_resource(kind.group, kind.version, kind.plural)
        if found is None:
            raise NotFound(kind.group, kind.plural, "")
        return found

    def _request(
        self, verb: str, kind: Kind, key: Key, subresource: str = "", *, manager: str = "", force: bool = False
    ) -> Request:
        return Request(
            verb=verb,
            kind=self._served(kind),
            key=key,
            subresource=subresource,
            user=self._user,
            field_manager=manager or self._manager,
            force=force,
            field_validation=decode.IGNORE,
            is_own=True,
        )


def _made(written: Written) -> tuple[int, bytes]:
    return 201 if written.created else 200, written.entry.raw


def _ended(deleted: Deleted) -> tuple[int, bytes]:
    return deleted.code, deleted.body


def _shown(kind: Kind, entry: Entry) -> Object:
    return entry.object if kind.stored_as is None else kind.from_stored(entry.object)


def _canonical(kind: Kind, obj: Object) -> Object:
    """A private copy as the registry wants it, canonical by the schema of the body's own kind: that of a subresource
    (Binding, Scale) is not its resource's."""
    body: Object = orjson.loads(orjson.dumps(obj))
    name, version = body.setdefault("kind", kind.name), body.setdefault("apiVersion", kind.api_version)
    if (name, version) != (kind.name, kind.api_version):
        group, _, bare = version.rpartition("/")
        found = kinds.by_kind(group, bare, name)
        if found is None:
            raise BadRequest(f'no kind "{name}" is registered for version "{version}"')
        kind = found
    decode.canonicalize(kind, body)
    return body
