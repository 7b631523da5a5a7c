"""What may change in the spec of a pod that exists. Source: validation.go, ValidatePodUpdate."""

from __future__ import annotations

from typing import Any

from pylet.api import causes
from pylet.api.errors import Cause
from pylet.api.object import Object

_INT32 = 2**31 - 1
_SAYS = (
    "pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,"
    "`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),"
    "`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)"
)


def changes(spec: Object, old: Object) -> list[Cause]:
    """What is wrong with going from `old` to `spec`."""
    found: list[Cause] = []
    for kind in ("containers", "initContainers"):
        if len(spec.get(kind) or ()) != len(old.get(kind) or ()):
            return [*found, causes.forbidden(f"spec.{kind}", "pod updates may not add or remove containers")]
    found += _deadline(spec.get("activeDeadlineSeconds"), old.get("activeDeadlineSeconds"))
    found += _tolerations(spec.get("tolerations") or [], old.get("tolerations") or [])
    gated = bool(old.get("schedulingGates"))
    gates = [gate for gate in spec.get("schedulingGates") or () if gate not in (old.get("schedulingGates") or ())]
    if gates:
        where = "spec.schedulingGates[0]"
        found.append(
            causes.forbidden(where, f"only deletion is allowed, but found new scheduling gate '{gates[0].get('name')}'")
        )
    if _fixed(spec, old, gated=gated) != _fixed(old, old, gated=gated):
        found.append(causes.forbidden("spec", _SAYS))
    return found


def _deadline(seconds: int | None, old: int | None) -> list[Cause]:
    where = "spec.activeDeadlineSeconds"
    if seconds is None:
        says = "must not update from a positive integer to nil value"
        return [] if old is None else [causes.invalid(where, None, says)]
    if not 0 <= seconds <= _INT32:
        return [causes.invalid(where, seconds, f"must be between 0 and {_INT32}, inclusive")]
    if old is not None and old < seconds:
        return [causes.invalid(where, seconds, "must be less than or equal to previous value")]
    return []


def _tolerations(new: list[Object], old: list[Object]) -> list[Cause]:
    """Tolerations may come; of those there only tolerationSeconds may change."""

    def known(toleration: Object) -> Object:
        return {name: value for name, value in toleration.items() if name != "tolerationSeconds"}

    kept = [known(toleration) for toleration in new]
    if all(known(toleration) in kept for toleration in old):
        return []
    says = "existing toleration can not be modified except its tolerationSeconds"
    return [causes.forbidden("spec.tolerations", says)]


def _fixed(spec: Object, old: Object, *, gated: bool) -> dict[str, Any]:
    """The part of `spec` that must stay as it is."""
    changing = {"activeDeadlineSeconds", "tolerations", "schedulingGates", "containers", "initContainers"}
    if gated:
        changing |= {"nodeSelector", "affinity"}
    grace = spec.get("terminationGracePeriodSeconds")
    if old.get("terminationGracePeriodSeconds", 0) < 0 and grace == 1:
        changing.add("terminationGracePeriodSeconds")
    fixed = {name: value for name, value in spec.items() if name not in changing}
    if "terminationGracePeriodSeconds" in changing:
        fixed["terminationGracePeriodSeconds"] = old["terminationGracePeriodSeconds"]
    for kind in ("containers", "initContainers"):
        fixed[kind] = [
            {name: value for name, value in container.items() if name != "image"} for container in spec.get(kind) or ()
        ]
    return fixed
