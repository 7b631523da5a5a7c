"""MutatingAdmissionPolicyBindings."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class MutatingAdmissionPolicyBindingStrategy(Strategy):
    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.mutating_binding(obj)


def _parameters(of: Object) -> str:
    if of.get("name"):
        return f"{of.get('namespace') or '*'}/{of['name']}"
    return columns.selector_cell(of["selector"]) if "selector" in of else "<unset>"


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("policyName", ""),
        _parameters(spec.get("paramRef") or {}),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    definition="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
    strategy=MutatingAdmissionPolicyBindingStrategy(),
    columns=(
        columns.NAME,
        Column("PolicyName", description="The policy that is bound."),
        Column("ParamRef", description="The parameters it gets."),
        columns.AGE,
    ),
    cells=_cells,
)
