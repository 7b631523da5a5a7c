"""CSINodes: the CSI drivers on a node."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.object import Object


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj["spec"].get("drivers") or ()), columns.age(obj, now)]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSINode",
    plural="csinodes",
    definition="io.k8s.api.storage.v1.CSINode",
    namespaced=False,
    columns=(
        columns.NAME,
        Column("Drivers", "integer", description="How many CSI drivers the node has."),
        columns.AGE,
    ),
    cells=_cells,
)
