"""CSINodes: the CSI drivers on a node."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, csi, golang, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig

_NODE_ID_CHARACTERS = 256


class CSINodeStrategy(Strategy):
    """Source: pkg/apis/storage/validation, ValidateCSINode."""

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        seen: set[str] = set()
        for position, driver in enumerate(obj["spec"].get("drivers") or ()):
            where, name = f"spec.drivers[{position}]", driver.get("name", "")
            found += _driver(driver, where)
            if name in seen:
                found.append(causes.duplicate(f"{where}.name", name))
            seen.add(name)
            found += _topology(driver.get("topologyKeys") or [], where)
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = list(self.validate(obj))
        before = {driver.get("name"): driver for driver in old["spec"].get("drivers") or ()}
        for driver in obj["spec"].get("drivers") or ():
            had = before.get(driver.get("name"))
            if had is not None:
                found += golang.immutable("spec.drivers", "CSINodeDriver", _fixed(driver), _fixed(had))
        return found


def _fixed(driver: Object) -> Object:
    return {name: value for name, value in driver.items() if name != "allocatable"}


def _driver(driver: Object, where: str) -> list[Cause]:
    found = csi.driver_name(driver.get("name", ""), f"{where}.name")
    node = driver.get("nodeID", "")
    if not node:
        found.append(causes.required(f"{where}.nodeID"))
    if len(node) > _NODE_ID_CHARACTERS:
        found.append(causes.invalid(f"{where}.nodeID", node, f"must be {_NODE_ID_CHARACTERS} characters or less"))
    count = dig(driver, "allocatable", "count", default=0)
    if count < 0:
        says = "must be greater than or equal to 0"
        found.append(causes.invalid(f"{where}.allocatable.count", count, says))
    return found


def _topology(keys: list[str], where: str) -> list[Cause]:
    found: list[Cause] = []
    for position, key in enumerate(keys):
        if not key:
            found.append(causes.required(where))
        if key in keys[:position]:
            found.append(causes.duplicate(where, key))
        found += causes.each(where, key, names.qualified_name(key))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], len(obj["spec"].get("drivers") or ()), columns.age(obj, now)]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSINode",
    plural="csinodes",
    definition="io.k8s.api.storage.v1.CSINode",
    namespaced=False,
    strategy=CSINodeStrategy(),
    columns=(
        columns.NAME,
        Column("Drivers", "integer", description="How many CSI drivers the node has."),
        columns.AGE,
    ),
    cells=_cells,
)
