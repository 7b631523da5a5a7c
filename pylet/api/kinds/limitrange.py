"""LimitRanges. Source: pkg/apis/core/validation/validation.go, ValidateLimitRange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf

from pylet.api import causes, columns, names, quantity, resources
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_BOUNDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


class LimitRangeStrategy(Strategy):
    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        seen: set[str] = set()
        for position, limit in enumerate(obj["spec"].get("limits") or ()):
            where, kind = f"spec.limits[{position}]", limit.get("type", "")
            problems = names.qualified_name(kind)
            if not problems and "/" not in kind and kind not in _TYPES:
                problems = ("must be a standard limit type or fully qualified",)
            found += causes.each(f"{where}.type", kind, problems)
            if kind in seen:
                found.append(causes.duplicate(f"{where}.type", kind))
            seen.add(kind)
            found += _limit(limit, kind, where)
        return found


def _limit(limit: Object, kind: str, where: str) -> list[Cause]:
    found: list[Cause] = []
    check = resources.container_problems if kind in ("Pod", "Container") else resources.problems
    bounds: dict[str, Mapping[str, str]] = {}
    for bound in _BOUNDS:
        amounts = limit.get(bound) or {}
        if kind == "Pod" and bound in ("default", "defaultRequest"):
            if amounts:
                found.append(causes.forbidden(f"{where}.{bound}", "may not be specified when `type` is 'Pod'"))
            continue
        bounds[bound] = amounts
        for name in amounts:
            found += causes.each(f"{where}.{bound}[{name}]", name, check(name))
    storage = any("storage" in bounds[bound] for bound in ("min", "max"))
    if kind == "PersistentVolumeClaim" and not storage:
        says = "either minimum or maximum storage value is required, but neither was provided"
        found.append(causes.required(f"{where}.limits", says))
    for name in dict.fromkeys(name for amounts in bounds.values() for name in amounts):
        found += _consistent(
            name, {bound: amounts[name] for bound, amounts in bounds.items() if name in amounts}, where
        )
    return found


def _consistent(name: str, amounts: Mapping[str, str], where: str) -> list[Cause]:
    """Whether what one resource may have of each kind fits together."""
    found: list[Cause] = []
    nanos = {bound: quantity.parse(amount).nanos for bound, amount in amounts.items()}

    def ordered(low: str, high: str, at: str, shown: str, says: str) -> None:
        if low in nanos and high in nanos and nanos[low] > nanos[high]:
            detail = says.format(low=amounts[low], high=amounts[high])
            found.append(causes.invalid(f"{where}.{at}[{name}]", amounts[shown], detail))

    ordered("min", "max", "min", "min", "min value {low} is greater than max value {high}")
    request, default = "defaultRequest", "default"
    ordered("min", request, request, request, "min value {low} is greater than default request value {high}")
    ordered(request, "max", request, request, "default request value {low} is greater than max value {high}")
    ordered(
        request, default, request, request, "default request value {low} is greater than default limit value {high}"
    )
    ordered("min", default, default, "min", "min value {low} is greater than default value {high}")
    ordered(default, "max", default, "max", "default value {low} is greater than max value {high}")
    ratio = nanos.get("maxLimitRequestRatio")
    if ratio is not None:
        shown, at = amounts["maxLimitRequestRatio"], f"{where}.maxLimitRequestRatio[{name}]"
        if ratio < quantity.NANOS:
            found.append(causes.invalid(at, shown, f"ratio {shown} is less than 1"))
        most = nanos["max"] / nanos["min"] if nanos.get("min") and "max" in nanos else inf
        if ratio / quantity.NANOS > most:
            found.append(causes.invalid(at, shown, f"ratio {shown} is greater than max/min = {most:.6f}"))
    if default in nanos and nanos[default] != nanos.get(request, nanos[default]) and not resources.overcommits(name):
        says = f"default value {amounts[default]} must equal to defaultRequest value {amounts[request]} in {name}"
        found.append(causes.invalid(f"{where}.{request}[{name}]", amounts[request], says))
    return found


KIND = Kind(
    group="",
    version="v1",
    name="LimitRange",
    plural="limitranges",
    definition="io.k8s.api.core.v1.LimitRange",
    short_names=("limits",),
    strategy=LimitRangeStrategy(),
    columns=(columns.NAME, Column("Created At", "date", description="When the object was created.")),
    cells=lambda obj, _now: [obj["metadata"]["name"], obj["metadata"].get("creationTimestamp")],
)
