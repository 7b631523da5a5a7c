"""Make the cluster have some objects: create what is missing, correct what differs, write nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from contextlib import suppress

from pylet.api.errors import AlreadyExists, NotFound
from pylet.api.kinds.customresourcedefinition import KIND as DEFINITION
from pylet.api.object import Key, Object, key_of
from pylet.client.interface import Client
from pylet.server.addons import gateway_api
from pylet.server.addons.wanted import change_of, is_another, kind_of


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
    kind = kind_of(obj)
    key = key_of(obj)
    try:
        current = await client.get(kind, key)
    except NotFound:
        with suppress(AlreadyExists):
            await client.create(kind, obj)
        return
    if is_another(obj, current):
        await client.delete(kind, key)
        await client.create(kind, obj)
    elif (change := change_of(obj, current)) is not None:
        await client.patch(kind, key, change)
