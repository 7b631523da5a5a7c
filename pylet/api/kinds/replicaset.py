"""ReplicaSets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object
from pylet.api.podspec import template
from pylet.api.podspec.replicated import ReplicatedStrategy


class ReplicaSetStrategy(ReplicatedStrategy):
    parts = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")
    counts = ("replicas", *parts, "observedGeneration", "terminatingReplicas")
    new_status: ClassVar[Object] = {"replicas": 0}

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        return [*template.not_negative(spec, "replicas", "minReadySeconds"), *template.validate_replicated(spec)]


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
)
