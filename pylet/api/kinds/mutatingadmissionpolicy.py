"""MutatingAdmissionPolicies."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class MutatingAdmissionPolicyStrategy(Strategy):
    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.mutating(obj)


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    of = spec.get("paramKind")
    shown = f"{of.get('apiVersion', '')}/{of.get('kind', '')}" if of is not None else "<unset>"
    return [obj["metadata"]["name"], len(spec.get("mutations") or ()), shown, columns.age(obj, now)]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingAdmissionPolicy",
    plural="mutatingadmissionpolicies",
    definition="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicy",
    namespaced=False,
    categories=("api-extensions",),
    strategy=MutatingAdmissionPolicyStrategy(),
    columns=(
        columns.NAME,
        Column("Mutations", "integer", description="How many mutations it has."),
        Column("ParamKind", description="The kind of its parameters."),
        columns.AGE,
    ),
    cells=_cells,
)
