"""DeviceClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Object


class DeviceClassStrategy(Strategy):
    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.devices import claims

        return claims.class_spec(obj["spec"])


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], columns.age(obj, now)]


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    name="DeviceClass",
    plural="deviceclasses",
    definition="io.k8s.api.resource.v1.DeviceClass",
    namespaced=False,
    strategy=DeviceClassStrategy(),
    columns=(
        columns.NAME,
        columns.AGE,
    ),
    cells=_cells,
)
