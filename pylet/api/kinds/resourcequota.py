"""ResourceQuotas. Source: pkg/apis/core/validation/validation.go, ValidateResourceQuota."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, resources
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig

_PODS = ("pods",)
_COMPUTE = (*_PODS, *(prefix + name for prefix in ("", "limits.", "requests.") for name in ("cpu", "memory")))
_SCOPES: dict[str, Collection[str]] = {
    "BestEffort": _PODS,
    "NotBestEffort": _COMPUTE,
    "Terminating": _COMPUTE,
    "NotTerminating": _COMPUTE,
    "PriorityClass": _COMPUTE,
    "CrossNamespacePodAffinity": _COMPUTE,
    "VolumeAttributesClass": ("persistentvolumeclaims", "requests.storage"),
}
_EXISTENCE = ("BestEffort", "NotBestEffort", "Terminating", "NotTerminating", "CrossNamespacePodAffinity")
_OPPOSITES = ({"BestEffort", "NotBestEffort"}, {"Terminating", "NotTerminating"})
_MUST_EXIST = (
    "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, "
    "ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity"
)


class ResourceQuotaStrategy(Strategy):
    has_status = True

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = _amounts(spec, "hard", "spec")
        scopes = spec.get("scopes") or []
        for scope in scopes:
            found += [causes.invalid("spec.scopes", scopes, says) for says in _scope_problems(scope, spec)]
        found += _conflicts(scopes, scopes, "spec.scopes")
        if "scopeSelector" in spec:
            found += _scope_selector(spec, "spec.scopeSelector.matchExpressions")
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            status = obj.get("status") or {}
            return [*_amounts(status, "hard", "status"), *_amounts(status, "used", "status")]
        found = list(self.validate(obj))
        scopes = obj["spec"].get("scopes")
        if set(scopes or ()) != set(old["spec"].get("scopes") or ()):
            found.append(causes.invalid("spec.scopes", scopes, causes.IMMUTABLE))
        return found


def _amounts(holder: Object, name: str, field: str) -> list[Cause]:
    found: list[Cause] = []
    for resource, amount in (holder.get(name) or {}).items():
        where = f"{field}.{name}[{resource}]"
        found += causes.each(where, resource, resources.quota_problems(resource))
        found += resources.amount(resource, amount, where)
    return found


def _scope_problems(scope: str, spec: Object) -> Iterable[str]:
    if scope not in _SCOPES:
        yield "unsupported scope"
    yield from _unfit(scope, spec)


def _unfit(scope: str, spec: Object) -> Iterable[str]:
    for name in sorted(spec.get("hard") or ()):
        if resources.is_quota(name) and name not in _SCOPES.get(scope, (name,)):
            yield "unsupported scope applied to resource"


def _conflicts(scopes: Iterable[str], shown: Any, field: str) -> list[Cause]:
    given = set(scopes)
    return [causes.invalid(field, shown, "conflicting scopes") for pair in _OPPOSITES if pair <= given]


def _scope_selector(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    chosen = spec["scopeSelector"]
    expressions = chosen.get("matchExpressions") or ()
    for expression in expressions:
        scope, operator = expression.get("scopeName", ""), expression.get("operator", "")
        values = expression.get("values") or []
        if scope not in _SCOPES:
            found.append(causes.invalid(f"{field}.scopeName", scope, "unsupported scope"))
        found += [causes.invalid(field, chosen, says) for says in _unfit(scope, spec)]
        if scope in _EXISTENCE and operator != "Exists":
            found.append(causes.invalid(f"{field}.operator", operator, _MUST_EXIST))
        if operator in ("In", "NotIn"):
            if not values:
                says = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                found.append(causes.required(f"{field}.values", says))
        elif operator in ("Exists", "DoesNotExist"):
            if values:
                says = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                found.append(causes.invalid(f"{field}.values", values, says))
        else:
            found.append(causes.invalid(f"{field}.operator", operator, "not a valid selector operator"))
    names = [expression.get("scopeName", "") for expression in expressions]
    return [*found, *_conflicts(names, spec.get("scopes"), field)]


def _cells(obj: Object, now: datetime) -> list[Any]:
    hard, used = dig(obj, "status", "hard", default={}), dig(obj, "status", "used", default={})
    shown = {name: f"{name}: {used.get(name, '0')}/{hard[name]}" for name in sorted(hard)}
    return [
        obj["metadata"]["name"],
        ", ".join(text for name, text in shown.items() if not name.startswith("limits.")),
        ", ".join(text for name, text in shown.items() if name.startswith("limits.")),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="",
    version="v1",
    name="ResourceQuota",
    plural="resourcequotas",
    definition="io.k8s.api.core.v1.ResourceQuota",
    short_names=("quota",),
    subresources=("status",),
    strategy=ResourceQuotaStrategy(),
    columns=(
        columns.NAME,
        Column("Request", description="What is used of what may be, but for limits."),
        Column("Limit", description="The limits in use, of what they may come to."),
        columns.AGE,
    ),
    cells=_cells,
)
