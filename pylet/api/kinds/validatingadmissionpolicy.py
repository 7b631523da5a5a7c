"""ValidatingAdmissionPolicies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class ValidatingAdmissionPolicyStrategy(Strategy):
    has_status = True
    has_generation = True
    status_keeps_metadata = True


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
