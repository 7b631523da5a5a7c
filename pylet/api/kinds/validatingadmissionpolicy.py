"""ValidatingAdmissionPolicies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class ValidatingAdmissionPolicyStrategy(Strategy):
    has_status = True
    has_generation = True
    status_keeps_metadata = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.validating(obj)

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.status(obj) if subresource == "status" else policies.validating(obj)


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    of = spec.get("paramKind")
    shown = f"{of.get('apiVersion', '')}/{of.get('kind', '')}" if of is not None else "<unset>"
    return [obj["metadata"]["name"], len(spec.get("validations") or ()), shown, columns.age(obj, now)]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingAdmissionPolicy",
    plural="validatingadmissionpolicies",
    definition="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicy",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    strategy=ValidatingAdmissionPolicyStrategy(),
    columns=(
        columns.NAME,
        Column("Validations", "integer", description="How many validations it has."),
        Column("ParamKind", description="The kind of its parameters."),
        columns.AGE,
    ),
    cells=_cells,
)
