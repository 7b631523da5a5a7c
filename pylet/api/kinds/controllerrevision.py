"""ControllerRevisions: what a StatefulSet's or DaemonSet's template was; the data never changes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec import template


class ControllerRevisionStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        found = template.not_negative(obj, "revision", field="")
        data = obj.get("data")
        if data is None:
            found.append(causes.required("data", "data is mandatory"))
        elif not isinstance(data, dict):
            found.append(causes.required("data", "data must be a valid JSON object"))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = template.not_negative(obj, "revision", field="")
        return [*found, *causes.immutable("data", obj.get("data"), old.get("data"))]


def _cells(obj: Object, now: datetime) -> list[Any]:
    owners = obj["metadata"].get("ownerReferences") or ()
    owner = next((each for each in owners if each.get("controller")), None)
    shown = "<none>"
    if owner is not None:
        group = owner.get("apiVersion", "").rpartition("/")[0]
        shown = f"{owner['kind'].lower()}{group and '.' + group}/{owner['name']}"
    return [obj["metadata"]["name"], shown, obj.get("revision", 0), columns.age(obj, now)]


KIND = Kind(
    group="apps",
    version="v1",
    name="ControllerRevision",
    plural="controllerrevisions",
    definition="io.k8s.api.apps.v1.ControllerRevision",
    strategy=ControllerRevisionStrategy(),
    columns=(
        columns.NAME,
        Column("Controller", description="What this is a revision of."),
        Column("Revision", description="Which revision of it."),
        columns.AGE,
    ),
    cells=_cells,
)
