"""RuntimeClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec.amounts import validate as validate_resources
from pylet.api.podspec.scheduling import validate_tolerations
from pylet.api.podspec.warnings import LABELS


class RuntimeClassStrategy(Strategy):
    """Source: pkg/apis/node/validation/validation.go."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        handler = obj.get("handler", "")
        found = causes.each("handler", handler, names.dns_label(handler)) if handler else [causes.required("handler")]
        if obj.get("overhead") is not None:
            limits = {"limits": obj["overhead"].get("podFixed") or {}}
            found += validate_resources(limits, "overhead")
        return [*found, *_scheduling(obj.get("scheduling") or {})]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return [*self.validate(obj), *causes.immutable("handler", obj.get("handler"), old.get("handler"))]

    def warnings(self, obj: Object) -> Sequence[str]:
        chosen = (obj.get("scheduling") or {}).get("nodeSelector") or {}
        return [f"scheduling.nodeSelector: {LABELS[key]}" for key in chosen if key in LABELS]


def _scheduling(scheduling: Object) -> list[Cause]:
    found: list[Cause] = []
    where = "scheduling.nodeSelector"
    for key, value in (scheduling.get("nodeSelector") or {}).items():
        found += causes.each(where, key, names.qualified_name(key))
        found += causes.each(where, value, names.label_value(value))
    where, tolerations = "scheduling.tolerations", scheduling.get("tolerations") or []
    found += validate_tolerations(tolerations, where)
    for position, toleration in enumerate(tolerations):
        if _listed(toleration) in map(_listed, tolerations[:position]):
            found.append(causes.duplicate(f"{where}[{position}]", golang.inside("Toleration", toleration)))
    return found


def _listed(toleration: Object) -> dict[str, str]:
    return {field: toleration.get(field, "") for field in ("key", "operator", "value", "effect")}


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("handler", ""), columns.age(obj, now)]


KIND = Kind(
    group="node.k8s.io",
    version="v1",
    name="RuntimeClass",
    plural="runtimeclasses",
    definition="io.k8s.api.node.v1.RuntimeClass",
    namespaced=False,
    strategy=RuntimeClassStrategy(),
    columns=(columns.NAME, Column("Handler", description="The runtime's handler."), columns.AGE),
    cells=_cells,
)
