"""ReplicaSets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec import template

_COUNTS = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas", "observedGeneration")


class ReplicaSetStrategy(Strategy):
    has_status = True
    has_generation = True
    new_status: ClassVar[Object] = {"replicas": 0}

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        return [*template.not_negative(spec, "replicas", "minReadySeconds"), *template.validate_replicated(spec)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return validate_counts(obj.get("status") or {})
        changed = causes.immutable("spec.selector", obj["spec"].get("selector"), old["spec"].get("selector"))
        if subresource == "scale" or obj["spec"] == old["spec"]:
            return [*template.not_negative(obj["spec"], "replicas"), *changed]
        return [*self.validate(obj), *changed]


def validate_counts(status: Object) -> list[Cause]:
    found = template.not_negative(status, *_COUNTS, field="status")
    replicas, available = status.get("replicas", 0), status.get("availableReplicas", 0)
    for name in ("fullyLabeledReplicas", "readyReplicas", "availableReplicas"):
        if status.get(name, 0) > replicas:
            found.append(
                causes.invalid(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
            )
    if available > status.get("readyReplicas", 0):
        found.append(causes.invalid("status.availableReplicas", available, "cannot be greater than readyReplicas"))
    return found


def cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        spec.get("replicas", 0),
        status.get("replicas", 0),
        status.get("readyReplicas", 0),
        columns.age(obj, now),
        *columns.template_cells(spec),
    ]


COLUMNS = (
    columns.NAME,
    Column("Desired", "integer", description="The number of desired pods."),
    Column("Current", "integer", description="The number of pods there are."),
    Column("Ready", "integer", description="The number of ready pods."),
    columns.AGE,
    columns.CONTAINERS,
    columns.IMAGES,
    columns.SELECTOR,
)
KIND = Kind(
    group="apps",
    version="v1",
    name="ReplicaSet",
    plural="replicasets",
    definition="io.k8s.api.apps.v1.ReplicaSet",
    short_names=("rs",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=ReplicaSetStrategy(),
    columns=COLUMNS,
    cells=cells,
    fields={"status.replicas": lambda obj: str((obj.get("status") or {}).get("replicas", 0))},
)
