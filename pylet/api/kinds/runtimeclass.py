"""RuntimeClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class RuntimeClassStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        handler = obj.get("handler", "")
        return causes.each("handler", handler, names.dns_label(handler))

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        return causes.immutable("handler", obj.get("handler"), old.get("handler"))


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], obj.get("handler", ""), columns.age(obj, now)]


KIND = Kind(
    group="node.k8s.io",
    version="v1",
    name="RuntimeClass",
    plural="runtimeclasses",
    definition="io.k8s.api.node.v1.RuntimeClass",
    namespaced=False,
    strategy=RuntimeClassStrategy(),
    columns=(columns.NAME, Column("Handler", description="The runtime's handler."), columns.AGE),
    cells=_cells,
)
