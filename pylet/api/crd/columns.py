"""Printer columns of custom resources. Source: pkg/registry/customresource/tableconvertor/tableconvertor.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pylet.api.columns import since
from pylet.api.crd import jsonpath
from pylet.api.kind import Column
from pylet.api.object import Object

_NAME = (
    "Name must be unique within a namespace. Is required when creating resources, although some resources may allow a "
    "client to request the generation of an appropriate name automatically. Name is primarily intended for creation "
    "idempotence and configuration definition. Cannot be updated. More info: "
    "https://kubernetes.io/docs/concepts/overview/working-with-objects/names#names"
)
_CREATED = (
    "CreationTimestamp is a timestamp representing the server time when this object was created. It is not guaranteed "
    "to be set in happens-before order across separate operations. Clients may not set this value. It is represented "
    "in RFC3339 form and is in UTC.\n\nPopulated by the system. Read-only. Null for lists. More info: "
    "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md#metadata"
)
_AGE = {"name": "Age", "type": "date", "description": _CREATED, "jsonPath": ".metadata.creationTimestamp"}


@dataclass(frozen=True, slots=True)
class CustomColumn(Column):
    steps: tuple[jsonpath.Step, ...] = ()

    def cell(self, obj: Object, now: datetime) -> Any:
        value = jsonpath.first(self.steps, obj)
        match self.type, value:
            case _, None:
                return None
            case "string", _:
                return printed(value)
            case "integer", int() | float() if not isinstance(value, bool):
                return int(value)
            case "number", int() | float() if not isinstance(value, bool):
                return value
            case "boolean", bool():
                return value
            case "date", str():
                try:
                    return since(value, now)
                except ValueError:
                    return "<invalid>"
        return None


def of_version(version: Object) -> Sequence[CustomColumn]:
    named = CustomColumn("Name", "string", "name", _NAME, 0, jsonpath.parse(".metadata.name"))
    return [named, *(_column(column) for column in version.get("additionalPrinterColumns") or (_AGE,))]


def _column(column: Object) -> CustomColumn:
    path = column["jsonPath"]
    described = column.get("description") or f"Custom resource definition column (in JSONPath format): {path}"
    return CustomColumn(
        column["name"],
        column["type"],
        column.get("format") or "",
        described,
        column.get("priority") or 0,
        jsonpath.parse(path),
    )


def printed(value: Any) -> str:
    """As kubectl's JSON paths print it; "" for nothing."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return orjson.dumps(value).decode()
