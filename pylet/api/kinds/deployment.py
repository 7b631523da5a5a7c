"""Deployments."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, golang, names
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object
from pylet.api.podspec import template
from pylet.api.podspec.replicated import ReplicatedStrategy

_NOT_NEGATIVE = ("replicas", "minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds")


class DeploymentStrategy(ReplicatedStrategy):
    parts = ("updatedReplicas", "readyReplicas", "availableReplicas")
    counts = ("observedGeneration", "replicas", *parts, "unavailableReplicas", "terminatingReplicas", "collisionCount")

    def spec_changed(self, obj: Object, old: Object) -> bool:
        """Annotations count: they are copied to the ReplicaSets."""
        annotations = obj["metadata"].get("annotations"), old["metadata"].get("annotations")
        return bool(obj["spec"] != old["spec"] or annotations[0] != annotations[1])

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if subresource == "status":
            obj["metadata"].pop("labels", None)
            if "labels" in old["metadata"]:
                obj["metadata"]["labels"] = old["metadata"]["labels"]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        found = super().validate_update(obj, old, subresource)
        if subresource != "status":
            return found
        return [*found, *template.collisions_grow(obj.get("status") or {}, old.get("status") or {})]

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = template.not_negative(spec, *_NOT_NEGATIVE)
        found += template.validate_replicated(spec)
        found += _strategy(spec.get("strategy") or {})
        deadline = spec.get("progressDeadlineSeconds")
        if deadline is not None and deadline <= spec.get("minReadySeconds", 0):
            says = "must be greater than minReadySeconds"
            found.append(causes.invalid("spec.progressDeadlineSeconds", deadline, says))
        return found


def _strategy(strategy: Object) -> list[Cause]:
    rolling = strategy.get("rollingUpdate")
    match strategy.get("type"):
        case "Recreate":
            if rolling is None:
                return []
            says = "may not be specified when strategy `type` is 'Recreate'"
            return [causes.forbidden("spec.strategy.rollingUpdate", says)]
        case "RollingUpdate":
            return _rolling(rolling or {})
    shown = golang.inside("DeploymentStrategy", strategy)
    return [causes.not_supported("spec.strategy", shown, ("Recreate", "RollingUpdate"))]


def _rolling(rolling: Object) -> list[Cause]:
    found: list[Cause] = []
    where = "spec.strategy.rollingUpdate"
    for name in ("maxUnavailable", "maxSurge"):
        value = rolling.get(name, 0)
        if isinstance(value, str):
            found += causes.each(f"{where}.{name}", value, names.percent(value))
        elif value < 0:
            found.append(causes.invalid(f"{where}.{name}", value, "must be greater than or equal to 0"))
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    if _number(unavailable) == 0 and _number(surge) == 0:
        says = "may not be 0 when `maxSurge` is 0"
        found.append(causes.invalid(f"{where}.maxUnavailable", unavailable, says))
    if isinstance(unavailable, str) and _number(unavailable) > 100:
        found.append(causes.invalid(f"{where}.maxUnavailable", unavailable, "must not be greater than 100%"))
    return found


def _number(value: int | str) -> int:
    if isinstance(value, int):
        return value
    return int(value[:-1]) if not names.percent(value) else 0


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        f"{status.get('readyReplicas', 0)}/{spec.get('replicas', 0)}",
        status.get("updatedReplicas", 0),
        status.get("availableReplicas", 0),
        columns.age(obj, now),
        *columns.template_cells(spec),
    ]


KIND = Kind(
    group="apps",
    version="v1",
    name="Deployment",
    plural="deployments",
    definition="io.k8s.api.apps.v1.Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=DeploymentStrategy(),
    columns=(
        columns.NAME,
        Column("Ready", description="Number of the pod with ready state"),
        Column("Up-to-date", description="The number of pods that have the current template."),
        Column("Available", description="The number of pods that have been ready for minReadySeconds."),
        columns.AGE,
        columns.CONTAINERS,
        columns.IMAGES,
        columns.SELECTOR,
    ),
    cells=_cells,
)
