"""Answers as tables, which is how kubectl gets its columns: meta.k8s.io/v1 Table.

Sources: pkg/printers/tablegenerator.go, apiserver pkg/endpoints/handlers/response.go (asTable) and
pkg/registry/rest/table.go for kinds without columns of their own.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from pylet.api.kind import Column, Kind
from pylet.api.object import Object
from pylet.api.wire.metadata import VERSION, partial

NONE, METADATA, OBJECT = "None", "Metadata", "Object"
"""The query's includeObject: what each row carries; "" is Metadata."""

_FALLBACK = (
    Column("Name", format="name", description="Name must be unique within a namespace."),
    Column("Created At", "date", description="When the server created the object."),
)


def table(
    kind: Kind,
    objects: Iterable[Object],
    list_meta: Object,
    now: datetime,
    *,
    include: str = "",
    headers: bool = True,
    api_version: str = VERSION,
) -> Object:
    """`list_meta` is the metadata of the list or of the one object; `headers` False on a watch's later events."""
    carried = ("resourceVersion", "continue", "remainingItemCount")
    return {
        "kind": "Table",
        "apiVersion": api_version,
        "metadata": {name: list_meta[name] for name in carried if name in list_meta},
        "columnDefinitions": [_definition(column) for column in kind.columns or _FALLBACK] if headers else None,
        "rows": [row(kind, obj, now, include=include, api_version=api_version) for obj in objects],
    }


def row(kind: Kind, obj: Object, now: datetime, *, include: str = "", api_version: str = VERSION) -> Object:
    match include:
        case "None":
            carried: Any = None
        case "Object":
            carried = obj
        case _:
            carried = partial(obj, api_version)
    return {"cells": cells(kind, obj, now), "object": carried}


def cells(kind: Kind, obj: Object, now: datetime) -> list[Any]:
    return kind.cells(obj, now) if kind.cells is not None else _name_and_creation(obj)


def blank(kind: Kind, obj: Object, api_version: str) -> Object:
    """The row of an object that only says where a watch is."""
    return {"cells": [""] * len(kind.columns or _FALLBACK), "object": partial(obj, api_version)}


def _definition(column: Column) -> Object:
    return {
        "name": column.name,
        "type": column.type,
        "format": column.format,
        "description": column.description,
        "priority": column.priority,
    }


def _name_and_creation(obj: Object) -> list[Any]:
    return [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp", "<unknown>")]
