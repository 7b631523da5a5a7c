"""ResourceClaimTemplates."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns, golang
from pylet.api.errors import Cause
from pylet.api.kind import Kind, Strategy
from pylet.api.object import Object


class ResourceClaimTemplateStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.devices import claims
        from pylet.api.podspec import templatemeta

        found = templatemeta.validate_alone(obj["spec"].get("metadata") or {}, "spec.metadata")
        return [*found, *claims.claim_spec(obj["spec"].get("spec") or {}, "spec.spec")]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        changed = golang.immutable("spec", "ResourceClaimTemplateSpec", obj["spec"], old["spec"])
        return [*self.validate(obj), *changed]


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], columns.age(obj, now)]


KIND = Kind(
    group="resource.k8s.io",
    version="v1",
    name="ResourceClaimTemplate",
    plural="resourceclaimtemplates",
    definition="io.k8s.api.resource.v1.ResourceClaimTemplate",
    strategy=ResourceClaimTemplateStrategy(),
    columns=(
        columns.NAME,
        columns.AGE,
    ),
    cells=_cells,
)
