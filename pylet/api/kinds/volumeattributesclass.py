"""VolumeAttributesClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, csi
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class VolumeAttributesClassStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateVolumeAttributesClass."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        found = csi.provisioner(obj.get("driverName", ""), "driverName")
        return [*found, *csi.parameters(obj.get("parameters") or {}, "parameters", may_be_empty=False)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = [
            causes.forbidden(name, f"updates to {name} are forbidden.")
            for name in ("driverName", "parameters")
            if obj.get(name) != old.get(name)
        ]
        return [*found, *self.validate(obj)]


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
    strategy=VolumeAttributesClassStrategy(),
    columns=(
        columns.NAME,
        Column("DriverName", description="The CSI driver these attributes are for."),
        columns.AGE,
    ),
    cells=_cells,
)
