"""ServiceCIDRs: ranges that Services get their addresses from."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.ip import canonical_network_problems_of
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of, is_terminating, is_true

DEFAULT = "kubernetes"
FINALIZER = "networking.k8s.io/service-cidr-finalizer"


def is_usable(obj: Object) -> bool:
    """Whether addresses may be taken from it; one whose readiness nobody has judged yet is taken for ready."""
    return not is_terminating(obj) and (condition_of(obj, "Ready") is None or is_true(obj, "Ready"))


class ServiceCIDRStrategy(Strategy):
    """Source: pkg/apis/networking/validation, ValidateServiceCIDR*."""

    has_status = True
    status_keeps_metadata = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        cidrs = obj["spec"].get("cidrs") or []
        if not cidrs:
            return [causes.required("spec.cidrs", "at least one CIDR required")]
        if len(cidrs) > 2:
            return [causes.invalid("spec.cidrs", {"CIDRs": cidrs}, "may only hold up to 2 values")]
        found: list[Cause] = []
        for position, cidr in enumerate(cidrs):
            found += causes.each(f"spec.cidrs[{position}]", cidr, canonical_network_problems_of(cidr))
        if len(cidrs) == 2 and not found and (":" in cidrs[0]) == (":" in cidrs[1]):
            says = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64"
            found.append(causes.invalid("spec.cidrs", cidrs, says))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return ()
        before, after = old["spec"].get("cidrs") or [], obj["spec"].get("cidrs") or []
        widened = (len(before), len(after)) == (1, 2)  # to dual-stack
        if len(before) != len(after) and not widened:
            return [causes.invalid("spec.cidrs", obj["spec"].get("cidrs"), causes.IMMUTABLE)]
        found: list[Cause] = []
        for position, cidr in enumerate(before):
            found += causes.immutable(f"spec.cidrs[{position}]", after[position], cidr)
        return [*found, *self.validate(obj)] if widened else found


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
