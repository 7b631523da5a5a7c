"""Printer columns of custom resources. Source: pkg/registry/customresource/tableconvertor/tableconvertor.go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from pylet.api.columns import CREATED_TEXT, NAME_TEXT, since
from pylet.api.crd import jsonpath
from pylet.api.kind import Column
from pylet.api.object import Object

_AGE = {"name": "Age", "type": "date", "description": CREATED_TEXT, "jsonPath": ".metadata.creationTimestamp"}


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
    named = CustomColumn("Name", "string", "name", NAME_TEXT, 0, jsonpath.parse(".metadata.name"))
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
