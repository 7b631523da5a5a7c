"""The controller of a ValidatingAdmissionPolicy's status: what the type check of its expressions has to say.

Source: pkg/controller/validatingadmissionpolicystatus.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime

from pylet.api import kinds
from pylet.api.kind import Kind
from pylet.api.kinds.validatingadmissionpolicy import KIND as POLICY
from pylet.api.object import Key, Object
from pylet.client.view import View
from pylet.server.reconcile.plan import NOTHING, Controller, Patch, Plan, Watch, itself


def controller(custom: Callable[[], Iterable[Kind]]) -> Controller:
    """`custom` are the custom kinds that are served."""

    def plan(key: Key, view: View, now: datetime) -> Plan:
        policy = view.get(POLICY, key)
        if policy is None:
            return NOTHING
        generation = policy["metadata"].get("generation", 0)
        if generation <= (policy.get("status") or {}).get("observedGeneration", 0):
            return NOTHING
        from pylet.api.admission_rules.typechecking import expression_warnings

        warnings = expression_warnings(policy, [*kinds.all_kinds(), *custom()])
        checked: Object = {"expressionWarnings": warnings or None}
        status = {"observedGeneration": generation, "typeChecking": checked}
        return Plan((Patch(POLICY, key, {"status": status}, subresource="status"),))

    return Controller("validatingadmissionpolicy-status", (Watch(POLICY, itself),), plan)
