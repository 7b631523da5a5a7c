"""Make the cluster have some objects: create what is missing, correct what differs, write nothing else.

A merge patch of the wanted object does it, because a write that changes nothing is none. What RBAC objects grant beyond
what is wanted stays, and one annotated `autoupdate: "false"` is left alone, as in upstream's bootstrap reconciliation.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from pylet.api import flowcontrol, kinds
from pylet.api.errors import AlreadyExists, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Key, Object, annotations_of
from pylet.client.interface import Client
from pylet.server.addons import gateway_api

_AUTOUPDATE = "rbac.authorization.kubernetes.io/autoupdate"
_MADE_ONCE = ("IngressClass", "StorageClass")  # defaults that may move
_GRANTS = ("rules", "subjects")


async def ensure(client: Client, objects: Iterable[Object]) -> None:
    """All at once, so that they share commits. Raises: ApiError."""
    async with asyncio.TaskGroup() as group:
        for obj in objects:
            group.create_task(_ensure(client, obj))


async def ensure_gateway_api(client: Client) -> None:
    """Read and written only where a cluster has none, or what an earlier pylet gave it. Raises: ApiError."""
    found = await asyncio.gather(*(_read(client, name) for name in gateway_api.NAMES))
    if not all(gateway_api.is_settled(one) for one in found):
        await ensure(client, gateway_api.definitions())


async def _read(client: Client, name: str) -> Object | None:
    try:
        return await client.get(DEFINITION, Key("", name))
    except NotFound:
        return None


async def _ensure(client: Client, obj: Object) -> None:
    kind = _kind_of(obj)
    meta = obj["metadata"]
    key = Key(meta.get("namespace", ""), meta["name"])
    try:
        current = await client.get(kind, key)
    except NotFound:
        with suppress(AlreadyExists):
            await client.create(kind, obj)
        return
    wanted = _wanted(obj, current)
    if wanted is not None:
        await client.patch(kind, key, wanted)


def _wanted(obj: Object, current: Object) -> Object | None:
    """The patch that makes `current` what it shall be; None where its owner said that it be left alone."""
    annotations = annotations_of(current)
    if obj["kind"] in _MADE_ONCE or (obj["kind"] == DEFINITION.name and gateway_api.is_settled(current)):
        return None
    if obj["kind"] == "ServiceCIDR":
        return _with_second_family(obj, current)
    if annotations.get(_AUTOUPDATE) == "false" or annotations.get(flowcontrol.AUTO_UPDATE) == "false":
        return None
    if flowcontrol.AUTO_UPDATE in annotations_of(obj):
        return _flow_control(obj, current)
    return obj | _with_extra_grants(obj, current)


def _with_second_family(obj: Object, current: Object) -> Object | None:
    """Nothing else of a ServiceCIDR may change; source: pkg/controlplane/controller/defaultservicecidr."""
    wanted, has = obj["spec"]["cidrs"], current["spec"]["cidrs"]
    return {"spec": {"cidrs": wanted}} if len(has) == 1 and wanted[:1] == has and wanted != has else None


def _flow_control(obj: Object, current: Object) -> Object:
    """Source: registry/flowcontrol/ensurer. What somebody changed without saying so becomes theirs."""
    if flowcontrol.AUTO_UPDATE not in annotations_of(current) and current["metadata"].get("generation", 1) != 1:
        return {"metadata": {"annotations": {flowcontrol.AUTO_UPDATE: "false"}}}
    return {**obj, "spec": {name: value for name, value in obj["spec"].items() if name != "exempt"}}


def _with_extra_grants(wanted: Object, current: Object) -> Object:
    """The grants of both, in the order they have now, so that an unchanged object stays unchanged."""
    merged: Object = {}
    for field in _GRANTS:
        if field in wanted:
            has = current.get(field) or []
            merged[field] = [*has, *(grant for grant in wanted[field] if grant not in has)]
    return merged


def _kind_of(obj: Object) -> Kind:
    group, _, version = obj["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, obj["kind"])
    if kind is None:
        raise NotFound(group, obj["kind"], obj["metadata"]["name"])
    return kind
