"""ResourceClaims."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns, golang
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class ResourceClaimStrategy(Strategy):
    has_status = True
    status_keeps_metadata = True

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if subresource == "status" and "status" in obj:
            from pylet.api.devices import allocation

            allocation.drop_deallocated(obj, old)

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.devices import claims

        return claims.claim_spec(obj["spec"], "spec")

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource != "status":
            return golang.immutable("spec", "ResourceClaimSpec", obj["spec"], old["spec"])
        from pylet.api.devices import allocation

        return allocation.status(obj, old)


def _state(obj: Object) -> str:
    deleted = "deletionTimestamp" in obj["metadata"]
    states = ["deleted"] if deleted else []
    if dig(obj, "status", "allocation") is None:
        states += [] if deleted else ["pending"]
    else:
        states += ["allocated", "reserved"] if dig(obj, "status", "reservedFor") else ["allocated"]
    return ",".join(states)


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], _state(obj), columns.age(obj, now)]


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceClaim",
    plural="resourceclaims",
    definition="io.k8s.api.resource.v1.ResourceClaim",
    subresources=("status",),
    strategy=ResourceClaimStrategy(),
    columns=(
        columns.NAME,
        Column("State", description="Whether it is pending, allocated, reserved or deleted."),
        columns.AGE,
    ),
    cells=_cells,
)
