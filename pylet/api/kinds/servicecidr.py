"""ServiceCIDRs: ranges that Services get their addresses from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class ServiceCIDRStrategy(Strategy):
    has_status = True
    status_keeps_metadata = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], ",".join(obj["spec"].get("cidrs") or ()), columns.age(obj, now)]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="ServiceCIDR",
    plural="servicecidrs",
    definition="io.k8s.api.networking.v1.ServiceCIDR",
    namespaced=False,
    subresources=("status",),
    strategy=ServiceCIDRStrategy(),
    columns=(
        columns.NAME,
        Column("CIDRs", description="The ranges, one for each IP family at most."),
        columns.AGE,
    ),
    cells=_cells,
)
