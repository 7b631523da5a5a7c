"""IngressClasses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class IngressClassStrategy(Strategy):
    has_generation = True


_DEFAULT = "ingressclass.kubernetes.io/is-default-class"


def is_default(obj: Object) -> bool:
    """Whether Ingresses that name no class get this one."""
    return (obj["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"


def _parameters(of: Object | None) -> str:
    if of is None:
        return "<none>"
    kind = of.get("kind", "")
    return f"{kind}.{of['apiGroup']}/{of.get('name', '')}" if "apiGroup" in of else f"{kind}/{of.get('name', '')}"


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    name = obj["metadata"]["name"]
    return [
        f"{name} (default)" if is_default(obj) else name,
        spec.get("controller", ""),
        _parameters(spec.get("parameters")),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IngressClass",
    plural="ingressclasses",
    definition="io.k8s.api.networking.v1.IngressClass",
    namespaced=False,
    strategy=IngressClassStrategy(),
    columns=(
        columns.NAME,
        Column("Controller", description="The controller that serves this class."),
        Column("Parameters", description="An object with more settings."),
        columns.AGE,
    ),
    cells=_cells,
)
