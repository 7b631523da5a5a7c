"""Leases."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig

_COORDINATED = ("preferredHolder", "strategy")  # fields of coordinated leader election, which is off by default


class LeaseStrategy(Strategy):
    def prepare_create(self, obj: Object) -> None:
        _drop_coordinated(obj, {})

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        _drop_coordinated(obj, old)

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj.get("spec") or {}
        found = []
        if spec.get("leaseDurationSeconds", 1) <= 0:
            seconds = spec["leaseDurationSeconds"]
            found.append(causes.invalid("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
        if spec.get("leaseTransitions", 0) < 0:
            says = "must be greater than or equal to 0"
            found.append(causes.invalid("spec.leaseTransitions", spec["leaseTransitions"], says))
        return found


def _drop_coordinated(obj: Object, old: Object) -> None:
    for name in _COORDINATED:
        if name in (obj.get("spec") or {}) and dig(old, "spec", name) is None:
            del obj["spec"][name]


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], dig(obj, "spec", "holderIdentity", default=""), columns.age(obj, now)]


KIND = Kind(
    group="coordination.k8s.io",
    version="v1",
    name="Lease",
    plural="leases",
    definition="io.k8s.api.coordination.v1.Lease",
    strategy=LeaseStrategy(),
    columns=(columns.NAME, Column("Holder", description="The identity of the holder of the lease."), columns.AGE),
    cells=_cells,
)
