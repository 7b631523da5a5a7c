"""PriorityClasses."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object

_HIGHEST = 1_000_000_000
_SYSTEM = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_POLICIES = ("PreemptLowerPriority", "Never")


class PriorityClassStrategy(Strategy):
    def prepare_create(self, obj: Object) -> None:
        obj["metadata"]["generation"] = 1

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        name, value = obj["metadata"].get("name", ""), obj.get("value", 0)
        if name.startswith("system-"):
            if _SYSTEM.get(name) != value:
                says = "priority class names with 'system-' prefix are reserved for system use only. error: " + (
                    f"value of {name} PriorityClass must be {_SYSTEM[name]}"
                    if name in _SYSTEM
                    else f"{name} is not a known system priority class"
                )
                found.append(causes.forbidden("metadata.name", says))
        elif value > _HIGHEST:
            says = f"maximum allowed value of a user defined priority is {_HIGHEST}"
            found.append(causes.forbidden("value", says))
        policy = obj.get("preemptionPolicy")
        if policy not in _POLICIES:
            found.append(causes.not_supported("preemptionPolicy", policy or "", _POLICIES))
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found: list[Cause] = []
        if obj.get("value") != old.get("value"):
            found.append(causes.forbidden("value", "may not be changed in an update."))
        return [*found, *causes.immutable("preemptionPolicy", obj.get("preemptionPolicy"), old.get("preemptionPolicy"))]


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [
        obj["metadata"]["name"],
        obj.get("value", 0),
        bool(obj.get("globalDefault")),
        columns.age(obj, now),
        obj.get("preemptionPolicy", ""),
    ]


KIND = Kind(
    group="scheduling.k8s.io",
    version="v1",
    name="PriorityClass",
    plural="priorityclasses",
    definition="io.k8s.api.scheduling.v1.PriorityClass",
    namespaced=False,
    short_names=("pc",),
    strategy=PriorityClassStrategy(),
    columns=(
        columns.NAME,
        Column("Value", "integer", description="The priority that pods receive when they name this class."),
        Column("Global-Default", "boolean", description="Whether pods that name no class receive this one."),
        columns.AGE,
        Column("PreemptionPolicy", description="The policy for preempting pods with lower priority."),
    ),
    cells=_cells,
)
