"""MutatingAdmissionPolicyBindings."""

from __future__ import annotations

from collections.abc import Sequence

from pylet.api.errors import Cause
from pylet.api.kind import Kind, Strategy
from pylet.api.kinds.validatingadmissionpolicybinding import COLUMNS, cells
from pylet.api.object import Object


class MutatingAdmissionPolicyBindingStrategy(Strategy):
    has_generation = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        from pylet.api.admission_rules import policies

        return policies.mutating_binding(obj)


KIND = Kind(
    group="admissionregistration.k8s.io",
    version="v1",
    name="MutatingAdmissionPolicyBinding",
    plural="mutatingadmissionpolicybindings",
    definition="io.k8s.api.admissionregistration.v1.MutatingAdmissionPolicyBinding",
    namespaced=False,
    categories=("api-extensions",),
    strategy=MutatingAdmissionPolicyBindingStrategy(),
    columns=COLUMNS,
    cells=cells,
)
