"""The loopback is a Client, and its tables are the watch cache."""

from __future__ import annotations

import asyncio

import pytest

from pylet.api.errors import BadRequest, Invalid
from pylet.api.kinds.configmap import KIND as CONFIGMAP
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.event import KIND as CORE_EVENT
from pylet.api.kinds.event_v1 import KIND as EVENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.serviceaccount import KIND as SERVICEACCOUNT
from pylet.api.object import Key, Object
from pylet.client.interface import Client, Tables
from pylet.server.loopback import Loopback
from pylet.server.registry import Request
from tests.server.kit import Api, configmap, pod


async def test_what_it_writes_is_in_the_table_when_it_returns(api: Api) -> None:
    loopback = Loopback(api.registry)
    client: Client = loopback
    tables: Tables = loopback
    table = await tables.table(CONFIGMAP)
    made = await client.create(CONFIGMAP, configmap("x", k="1"))
    key = Key("a", "x")
    assert table.entries[key].object == made
    changed = await client.update(CONFIGMAP, made | {"data": {"k": "2"}})
    assert table.entries[key].object is changed
    await client.patch(CONFIGMAP, key, {"data": {"k": "3"}})
    assert (await client.get(CONFIGMAP, key))["data"] == {"k": "3"}
    await client.delete(CONFIGMAP, key)
    assert key not in table.entries


async def test_a_watch_follows_a_list(api: Api) -> None:
    client = Loopback(api.registry)
    listing = await client.list(CONFIGMAP, "a")
    await client.create(CONFIGMAP, configmap("x"))

    async def first() -> list[str]:
        async for changes in client.watch(CONFIGMAP, "a", since=listing.revision):
            return [f"{change.type} {change.object['metadata']['name']}" for change in changes]
        return []

    assert await asyncio.wait_for(first(), 60) == ["ADDED x"]


async def test_events_are_one_storage_under_two_names(api: Api) -> None:
    client = Loopback(api.registry)
    about = {"kind": "Pod", "name": "p", "namespace": "a"}
    meta = {"name": "e", "namespace": "a"}
    await client.create(CORE_EVENT, {"metadata": meta, "involvedObject": about, "message": "hello", "type": "Normal"})
    shown = await client.get(EVENT, Key("a", "e"))
    assert (shown["apiVersion"], shown["note"], shown["regarding"]) == ("events.k8s.io/v1", "hello", about)
    series = {"count": 2, "lastObservedTime": "2026-01-02T03:04:05.000000Z"}
    patched = await client.patch(EVENT, Key("a", "e"), {"series": series})
    assert patched["series"] == series
    assert (await client.get(CORE_EVENT, Key("a", "e")))["series"] == series


async def test_each_version_of_events_selects_by_its_own_names(api: Api) -> None:
    client = Loopback(api.registry)
    meta = {"name": "e", "namespace": "a"}
    await client.create(CORE_EVENT, {"metadata": meta, "involvedObject": {"namespace": "a", "name": "p"}})
    assert await api.names(EVENT, "a", fields="regarding.name=p") == ["e"]
    assert await api.names(CORE_EVENT, "a", fields="involvedObject.name=p") == ["e"]
    with pytest.raises(BadRequest):
        await api.names(EVENT, "a", fields="involvedObject.name=p")


async def test_the_newer_version_of_events_is_stricter(api: Api) -> None:
    client = Loopback(api.registry)
    meta = {"name": "e", "namespace": "a"}
    await client.create(CORE_EVENT, {"metadata": meta, "involvedObject": {"namespace": "a"}, "message": "hello"})
    with pytest.raises(Invalid, match="field is immutable"):
        await client.patch(EVENT, Key("a", "e"), {"note": "again"})
    assert (await client.patch(CORE_EVENT, Key("a", "e"), {"message": "again"}))["message"] == "again"


async def test_subresources_are_reached(api: Api) -> None:
    client = Loopback(api.registry)
    await client.create(POD, pod("p"))
    target = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n"}}
    await client.create(POD, target, key=Key("a", "p"), subresource="binding")
    assert (await client.get(POD, Key("a", "p")))["spec"]["nodeName"] == "n"
    labels = {"app": "w"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template}
    await client.create(DEPLOYMENT, {"metadata": {"name": "w", "namespace": "a"}, "spec": spec})
    scale = await client.get(DEPLOYMENT, Key("a", "w"), subresource="scale")
    await client.update(DEPLOYMENT, scale | {"spec": {"replicas": 4}}, subresource="scale")
    assert (await client.get(DEPLOYMENT, Key("a", "w")))["spec"]["replicas"] == 4


async def test_what_stores_nothing_is_answered_by_others(api: Api) -> None:
    async def token(request: Request, body: Object) -> Object:
        return body | {"status": {"token": f"for {request.key}"}}

    client = Loopback(api.registry, answers={("serviceaccounts", "token"): token})
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": ["a"]}}
    answered = await client.create(SERVICEACCOUNT, body, key=Key("a", "default"), subresource="token")
    assert answered["status"]["token"] == "for a/default"
