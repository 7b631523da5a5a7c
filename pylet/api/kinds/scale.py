"""Scale: the body of a subresource, never stored and no resource of its own."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.object import Object, dig


def _cells(obj: Object, now: datetime) -> list[Any]:
    desired, available = (dig(obj, part, "replicas", default=0) for part in ("spec", "status"))
    return [obj["metadata"]["name"], desired, available, columns.age(obj, now)]


KIND = Kind(
    group="autoscaling",
    version="v1",
    name="Scale",
    plural="scales",
    definition="io.k8s.api.autoscaling.v1.Scale",
    verbs=(),
    columns=(
        Column("Name", description=columns.NAME_TEXT),
        Column("Desired", "integer", description="replicas is the desired number of instances for the scaled object."),
        Column(
            "Available",
            "integer",
            description="replicas is the actual number of observed instances of the scaled object.",
        ),
        Column("Age", description=columns.CREATED_TEXT),
    ),
    cells=_cells,
)
