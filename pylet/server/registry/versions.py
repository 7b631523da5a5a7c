"""The versions of one resource, for owners of its fields that wrote through another than the request's.

Telling owners is pure and converting by a webhook is not: what needs a conversion raises `Unconverted` and is computed
again once it is there (`converting`), with all that was converted before at hand.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import orjson

from pylet.aio.apart import apart
from pylet.api.errors import ApiError
from pylet.api.kind import Kind, Storage
from pylet.api.object import Object
from pylet.api.patch import apply, shape
from pylet.api.patch.shape import Shape
from pylet.server.registry.feed import Convert
from pylet.server.registry.request import Request

T = TypeVar("T")

Find = Callable[[str, str, str], Kind | None]
"""A served kind by group, version and name."""


class Unconverted(Exception):
    """What a webhook has to convert, to that version, before owners can be told; then to be put at `key`."""

    def __init__(self, key: bytes, obj: Object, version: str) -> None:
        super().__init__(version)
        self.key, self.obj, self.version = key, obj, version


async def converting(request: Request, convert: Convert | None, size_bytes: int, compute: Callable[[], T]) -> T:
    """What `compute`, of about that many bytes, returns once all that it turns out to need is converted."""
    while True:
        try:
            return await apart(size_bytes, compute)
        except Unconverted as first:
            assert convert is not None
            try:
                request.converted[first.key] = (await convert(request.kind, first.version, [first.obj]))[0]
            except ApiError as failed:
                request.converted[first.key] = failed


def versions_of(request: Request, kind: Kind, find: Find) -> apply.Versions:
    if kind.storage is None:
        return BuiltInVersions(kind, find)
    return CustomVersions(kind, kind.storage, request.converted)


def shape_of(kind: Kind) -> Shape:
    return shape.of(kind.definition) if kind.schema is None else _custom_shape(kind.schema)


@lru_cache(maxsize=256)
def _custom_shape(schema: Any) -> Shape:
    root: Any = getattr(schema, "root", schema)
    return shape.of_structural(root)


class CustomVersions:
    """The versions of a custom resource, served or not. `converted` is what a webhook has made of objects so far."""

    is_fixed = False

    def __init__(self, kind: Kind, storage: Storage, converted: Mapping[bytes, Object | ApiError]) -> None:
        self._kind = kind
        self._storage = storage
        self._converted = converted

    def shape(self, api_version: str) -> Shape:
        group, _, version = api_version.rpartition("/")
        schema = self._storage.schemas.get(version) if group == self._kind.group else None
        if schema is None:
            raise apply.Unconvertible(f"request to convert CR to an invalid group/version: {api_version}")
        return _custom_shape(schema)

    def convert(self, obj: Object, api_version: str) -> Object:
        """By way of the request's version, as upstream does. Raises: Unconverted."""
        return self._renamed(self._renamed(obj, self._kind.api_version), api_version)

    def _renamed(self, obj: Object, api_version: str) -> Object:
        if obj["apiVersion"] == api_version:
            return obj
        if self._storage.conversion is None:
            return {**obj, "apiVersion": api_version}
        key = orjson.dumps((api_version, obj), option=orjson.OPT_SORT_KEYS)
        found = self._converted.get(key)
        if found is None:
            raise Unconverted(key, obj, api_version.rpartition("/")[2])
        if isinstance(found, ApiError):
            raise apply.Unconvertible(found.message)
        return found


class BuiltInVersions:
    """The served versions of a built-in resource, for owners that wrote through another than the request's."""

    is_fixed = True

    def __init__(self, kind: Kind, find: Find) -> None:
        self._kind = kind
        self._find = find

    def _other(self, api_version: str) -> Kind | None:
        if api_version == self._kind.api_version:
            return self._kind
        group, _, version = api_version.rpartition("/")
        found = self._find(group, version, self._kind.name)
        if found is None:
            return None
        # A version of something else that has the same name is none of this resource's.
        return found if (found.stored_as or found) is (self._kind.stored_as or self._kind) else None

    def shape(self, api_version: str) -> Shape | None:
        found = self._other(api_version)
        return None if found is None else shape_of(found)

    def convert(self, obj: Object, api_version: str) -> Object:
        if obj.get("apiVersion") == api_version:
            return obj
        group, _, version = obj.get("apiVersion", "").rpartition("/")
        source, target = self._find(group, version, self._kind.name), self._other(api_version)
        assert target is not None
        if source is not None and source.stored_as is not None:
            obj = source.to_stored(obj)
        if target.stored_as is not None:
            return target.from_stored(obj)
        return {**obj, "apiVersion": api_version}
