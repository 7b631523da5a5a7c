"""VolumeAttributesClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.object import Object


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("driverName", ""), columns.age(obj, now)]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="VolumeAttributesClass",
    plural="volumeattributesclasses",
    definition="io.k8s.api.storage.v1.VolumeAttributesClass",
    namespaced=False,
    short_names=("vac",),
    columns=(
        columns.NAME,
        Column("DriverName", description="The CSI driver these attributes are for."),
        columns.AGE,
    ),
    cells=_cells,
)
