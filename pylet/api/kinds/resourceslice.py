"""ResourceSlices: devices that a driver offers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class ResourceSliceStrategy(Strategy):
    has_generation = True

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _drop_alpha(obj["spec"])

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        _drop_alpha(obj["spec"])
        super().prepare_update(obj, old, subresource)

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.devices import slices

        return slices.validate(obj["spec"])

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        from pylet.api.devices import slices

        return slices.validate(obj["spec"], old["spec"])

    def warnings(self, obj: Object) -> Sequence[str]:
        driver = obj["spec"].get("driver", "")
        if driver == driver.lower():
            return ()
        says = f"driver names should be lowercase; {causes.quoted(driver)} contains uppercase characters"
        return (f"spec.driver: {says}",)


def _drop_alpha(spec: Object) -> None:
    for device in spec.get("devices") or ():
        device.pop("nodeAllocatableResourceMappings", None)
        for attribute in (device.get("attributes") or {}).values():
            for name in ("bools", "ints", "strings", "versions"):
                attribute.pop(name, None)


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
