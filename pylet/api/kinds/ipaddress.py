"""IPAddresses: who has which address of a ServiceCIDR."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names
from pylet.api.errors import Cause
from pylet.api.ip import canonical_problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.references import validate_segment

FAMILY_LABEL = "ipaddress.kubernetes.io/ip-family"
MANAGED_LABEL = "ipaddress.kubernetes.io/managed-by"
ALLOCATOR = "ipallocator.k8s.io"


def is_managed(labels: Mapping[str, str]) -> bool:
    """Whether it was made for a Service, by the server itself."""
    return labels.get(MANAGED_LABEL) == ALLOCATOR


class IPAddressStrategy(Strategy):
    """Source: pkg/apis/networking/validation, ValidateIPAddress."""

    def name_problems(self, name: str) -> Sequence[str]:
        return canonical_problems_of(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        parent, where = obj["spec"].get("parentRef"), "spec.parentRef"
        if parent is None:
            return [causes.required(where)]
        found: list[Cause] = []
        if parent.get("group"):
            found += causes.each(f"{where}.group", parent["group"], names.dns_subdomain(parent["group"]))
        for name in ("resource", "name"):
            found += validate_segment(parent.get(name, ""), f"{where}.{name}")
        namespace = parent.get("namespace", "")
        return [*found, *causes.each(f"{where}.namespace", namespace, names.path_segment(namespace))]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        now, was = (each["spec"].get("parentRef") for each in (obj, old))
        changed = golang.immutable("spec.parentRef", "ParentReference", now, was)
        return [*self.validate(obj), *changed]


def _parent(of: Object | None) -> str:
    if of is None:
        return "<none>"
    resource = f"{of.get('resource', '')}.{of['group']}" if of.get("group") else of.get("resource", "")
    return "/".join(part for part in (resource.lower(), of.get("namespace"), of.get("name", "")) if part)


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _parent(obj["spec"].get("parentRef"))]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="IPAddress",
    plural="ipaddresses",
    definition="io.k8s.api.networking.v1.IPAddress",
    namespaced=False,
    short_names=("ip",),
    strategy=IPAddressStrategy(),
    columns=(
        columns.NAME,
        Column("ParentRef", description="Whose address it is."),
    ),
    cells=_cells,
)
