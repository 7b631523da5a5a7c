"""ValidatingAdmissionPolicyBindings, and what the mutating ones have in common with them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

COLUMNS = (
    columns.NAME,
    Column("PolicyName", description="The policy that is bound."),
    Column("ParamRef", description="The parameters it gets."),
    columns.AGE,
)


class ValidatingAdmissionPolicyBindingStrategy(Strategy):
    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.validating_binding(obj)


def cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    parameters = _parameters(spec.get("paramRef") or {})
    return [obj["metadata"]["name"], spec.get("policyName", ""), parameters, columns.age(obj, now)]


def _parameters(of: Object) -> str:
    if of.get("name"):
        return f"{of.get('namespace') or '*'}/{of['name']}"
    return _in_go(of["selector"]) if "selector" in of else "<unset>"


def _in_go(selector: Object) -> str:
    """The selector as Go's generated String() has it, which is what upstream prints here."""
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{one.get('key', '')},Operator:{one.get('operator', '')},"
        f"Values:[{' '.join(one.get('values') or ())}],}},"
        for one in selector.get("matchExpressions") or ()
    )
    return (
        f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},"
        f"MatchExpressions:[]LabelSelectorRequirement{{{expressions}}},}}"
    )


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="ValidatingAdmissionPolicyBinding",
    plural="validatingadmissionpolicybindings",
    definition="io.k8s.api.admissionregistration.v1.ValidatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
    strategy=ValidatingAdmissionPolicyBindingStrategy(),
    columns=COLUMNS,
    cells=cells,
)
