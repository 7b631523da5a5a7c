"""A registry on a memory store, as whole as the server's own, and short ways to ask it things."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from pylet.api import kinds
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.object import Key, Object
from pylet.api.wire import decode
from pylet.client.interface import PatchType
from pylet.server.admission import CHAIN
from pylet.server.registry import LOOPBACK, DeleteOptions, ListOptions, Page, Registry, Request, User
from pylet.server.registry.registry import is_stored
from pylet.store.drivers.memory import MemoryStore
from pylet.store.interface import Store
from tests.waiting import answered

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


class Api:
    """The registry as a client in a hurry sees it; objects in and out, errors raised."""

    def __init__(self, registry: Registry, task: asyncio.Task[None]) -> None:
        self.registry = registry
        self.task = task

    def request(self, verb: str, kind: Kind, namespace: str = "", name: str = "", **options: Any) -> Request:
        options.setdefault("user", LOOPBACK)
        return Request(verb=verb, kind=kind, key=Key(namespace, name), **options)

    async def create(self, obj: Object, *, name: str = "", subresource: str = "", **options: Any) -> Object:
        body = orjson.loads(orjson.dumps(obj))
        kind = kind_of(body)
        decode.canonicalize(kind, body)
        if subresource:
            kind = kinds.by_resource("", "v1", "pods") or kind
        request = self.request(
            "create", kind, body["metadata"].get("namespace", ""), name, subresource=subresource, **options
        )
        return decoded((await self.registry.create(request, body)).entry.raw)

    async def update(self, obj: Object, *, subresource: str = "", **options: Any) -> Object:
        body = orjson.loads(orjson.dumps(obj))
        kind, meta = kind_of(body), body["metadata"]
        decode.canonicalize(kind, body)
        request = self.request(
            "update", kind, meta.get("namespace", ""), meta["name"], subresource=subresource, **options
        )
        return decoded((await self.registry.update(request, body)).entry.raw)

    async def patch(
        self, kind: Kind, namespace: str, name: str, patch: Any, type_: PatchType = PatchType.MERGE, **options: Any
    ) -> Object:
        request = self.request("patch", kind, namespace, name, **options)
        return decoded((await self.registry.patch(request, patch, type_)).entry.raw)

    async def get(self, kind: Kind, namespace: str, name: str, **options: Any) -> Object:
        return decoded((await self.registry.get(self.request("get", kind, namespace, name, **options))).raw)

    async def delete(self, kind: Kind, namespace: str, name: str, *, user: User = LOOPBACK, **options: Any) -> Object:
        request = self.request("delete", kind, namespace, name, user=user, dry_run=options.pop("dry_run", False))
        return decoded((await self.registry.delete(request, DeleteOptions(**options))).body)

    async def list(self, kind: Kind, namespace: str = "", **options: Any) -> Page:
        return await self.registry.list(self.request("list", kind, namespace), ListOptions(**options))

    async def names(self, kind: Kind, namespace: str = "", **options: Any) -> list[str]:
        return [entry.key.name for entry in (await self.list(kind, namespace, **options)).entries]

    async def namespace(self, name: str) -> None:
        await self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
        await self.create(
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default", "namespace": name}}
        )


def decoded(raw: bytes) -> Object:
    obj: Object = orjson.loads(raw)
    return obj


def kind_of(obj: Object) -> Kind:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, obj["kind"])
    assert kind is not None, obj
    return kind


def configmap(name: str, namespace: str = "a", **data: str) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace}, "data": data}


def pod(name: str, namespace: str = "a", **spec: Any) -> Object:
    spec.setdefault("containers", [{"name": "c", "image": "registry.test/c:1"}])
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


def service(name: str, namespace: str = "a", **spec: Any) -> Object:
    spec.setdefault("ports", [{"port": 80}])
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace}, "spec": spec}


async def refused(what: Any) -> Object:
    """The Status of a call that must fail."""
    with pytest.raises(ApiError) as caught:
        await what
    return caught.value.status()


@asynccontextmanager
async def running(store: Store, **options: Any) -> AsyncIterator[Api]:
    registry = Registry(store, **{"chain": CHAIN, "now": lambda: NOW, **options})
    await registry.load()
    task = asyncio.create_task(registry.run())
    try:
        yield Api(registry, task)
    finally:
        task.cancel()
    for kind in filter(is_stored, kinds.all_kinds()):
        for entry in registry.table(kind).entries.values():
            assert repr(entry.object) == repr(orjson.loads(entry.raw)), "what readers see is not what was stored"


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running(MemoryStore()) as found:
        await found.namespace("a")
        yield found


async def gone(cluster: Any, path: str) -> None:
    """Wait until there is nothing at `path`."""
    await answered(lambda: cluster.ask("GET", path), lambda answer: answer.status == 404)
