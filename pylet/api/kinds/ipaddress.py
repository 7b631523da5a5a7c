"""IPAddresses: who has which address of a ServiceCIDR."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.object import Object


def _parent(of: Object | None) -> str:
    if of is None:
        return "<none>"
    resource = f"{of.get('resource', '')}.{of['group']}" if of.get("group") else of.get("resource", "")
    return "/".join(part for part in (resource.lower(), of.get("namespace"), of.get("name", "")) if part)


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _parent(obj["spec"].get("parentRef")), columns.age(obj, now)]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IPAddress",
    plural="ipaddresses",
    definition="io.k8s.api.networking.v1.IPAddress",
    namespaced=False,
    short_names=("ip",),
    columns=(
        columns.NAME,
        Column("ParentRef", description="Whose address it is."),
    ),
    cells=_cells,
)
