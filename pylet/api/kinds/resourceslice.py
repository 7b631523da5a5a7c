"""ResourceSlices: devices that a driver offers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class ResourceSliceStrategy(Strategy):
    has_generation = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("nodeName", ""),
        spec.get("driver", ""),
        dig(spec, "pool", "name", default=""),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceSlice",
    plural="resourceslices",
    definition="io.k8s.api.resource.v1.ResourceSlice",
    namespaced=False,
    strategy=ResourceSliceStrategy(),
    columns=(
        columns.NAME,
        Column("Node", description="The node the devices are on."),
        Column("Driver", description="The driver that offers them."),
        Column("Pool", description="The pool they belong to."),
        columns.AGE,
    ),
    cells=_cells,
    fields={
        "spec.nodeName": lambda obj: obj["spec"].get("nodeName", ""),
        "spec.driver": lambda obj: obj["spec"].get("driver", ""),
    },
)
