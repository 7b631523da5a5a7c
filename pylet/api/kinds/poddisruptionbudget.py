"""PodDisruptionBudgets. Source: pkg/apis/policy/validation/validation.go, registry/policy/poddisruptionbudget."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, conditions, golang, names, selector
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object
from pylet.api.podspec import template
from pylet.api.podspec.rolling import int_or_percent

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")
_POLICIES = ("AlwaysAllow", "IfHealthyBudget")


class PodDisruptionBudgetStrategy(Strategy):
    has_status = True
    has_generation = True
    new_status: ClassVar[Object] = dict.fromkeys(_COUNTS, 0)

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found: list[Cause] = []
        if "minAvailable" in spec and "maxUnavailable" in spec:
            shown = golang.inside("PodDisruptionBudgetSpec", spec)
            found.append(causes.invalid("spec", shown, "minAvailable and maxUnavailable cannot be both set"))
        for name in ("minAvailable", "maxUnavailable"):
            if name in spec:
                found += int_or_percent(spec[name], f"spec.{name}")
        found += selector.validate_object(spec.get("selector"), "spec.selector")
        policy = spec.get("unhealthyPodEvictionPolicy")
        if policy is not None and policy not in _POLICIES:
            found.append(causes.not_supported("spec.unhealthyPodEvictionPolicy", policy, _POLICIES))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            status = obj.get("status") or {}
            found = list(template.not_negative(status, *_COUNTS, field="status"))
            return [*found, *conditions.validate(status.get("conditions") or (), "status.conditions")]
        return self.validate(obj)


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        str(spec.get("minAvailable", "N/A")),
        str(spec.get("maxUnavailable", "N/A")),
        (obj.get("status") or {}).get("disruptionsAllowed", 0),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="policy",
    version="v1",
    name="PodDisruptionBudget",
    plural="poddisruptionbudgets",
    definition="io.k8s.api.policy.v1.PodDisruptionBudget",
    short_names=("pdb",),
    subresources=("status",),
    strategy=PodDisruptionBudgetStrategy(),
    columns=(
        columns.NAME,
        Column("Min Available", description="How many pods must stay available."),
        Column("Max Unavailable", description="How many pods may be unavailable."),
        Column("Allowed Disruptions", "integer", description="How many pods may be evicted now."),
        columns.AGE,
    ),
    cells=_cells,
)
