"""DaemonSets. Source: pkg/apis/apps/validation/validation.go, pkg/registry/apps/daemonset/strategy.go.

`spec.templateGeneration` lived on in an annotation when the API moved to apps/v1; so it does here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, golang
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind
from pylet.api.object import Object
from pylet.api.podspec import template
from pylet.api.podspec.rolling import int_or_percent, is_zero

GENERATION = "deprecated.daemonset.template.generation"
_COUNTS = (
    "currentNumberScheduled",
    "numberMisscheduled",
    "desiredNumberScheduled",
    "numberReady",
    "observedGeneration",
    "updatedNumberScheduled",
    "numberAvailable",
    "numberUnavailable",
    "collisionCount",
)
_ALWAYS = ("currentNumberScheduled", "desiredNumberScheduled", "numberMisscheduled", "numberReady")


class DaemonSetStrategy(template.TemplateStrategy):
    has_status = True
    names_pods = False
    new_status: ClassVar[Object] = dict.fromkeys(_ALWAYS, 0)

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        generation = _template_generation(obj)
        _annotate(obj, max(generation, 1))

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        changed = obj["spec"].get("template") != old["spec"].get("template")
        _annotate(obj, _template_generation(old) + changed)

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = template.validate_replicated(spec, "DaemonSet", selected="daemonset", required=False)
        found += template.not_negative(spec, "minReadySeconds")
        found += _update_strategy(spec.get("updateStrategy") or {})
        found += template.not_negative(spec, "revisionHistoryLimit")
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            status = obj.get("status") or {}
            return [
                *template.not_negative(status, *_COUNTS, field="status"),
                *template.collisions_grow(status, old.get("status") or {}),
            ]
        if obj["spec"] == old["spec"]:
            return ()
        now, was = (each["spec"].get("selector") for each in (obj, old))
        changed = golang.immutable("spec.selector", "LabelSelector", now, was)
        return [*changed, *self.validate(obj)]


def _template_generation(obj: Object) -> int:
    written = (obj["metadata"].get("annotations") or {}).get(GENERATION, "")
    return int(written) if written.isdigit() else 0


def _annotate(obj: Object, generation: int) -> None:
    obj["metadata"]["annotations"] = {**(obj["metadata"].get("annotations") or {}), GENERATION: str(generation)}


def _update_strategy(strategy: Object) -> list[Cause]:
    where = "spec.updateStrategy"
    match strategy.get("type"):
        case "OnDelete":
            return []
        case "RollingUpdate":
            if strategy.get("rollingUpdate") is None:
                return [causes.required(f"{where}.rollingUpdate")]
            return _rolling(strategy["rollingUpdate"], f"{where}.rollingUpdate")
    shown = golang.inside("DaemonSetUpdateStrategy", strategy)
    return [causes.not_supported(where, shown, ("RollingUpdate", "OnDelete"))]


def _rolling(rolling: Object, field: str) -> list[Cause]:
    unavailable, surge = rolling.get("maxUnavailable", 0), rolling.get("maxSurge", 0)
    found = int_or_percent(unavailable, f"{field}.maxUnavailable")
    found += int_or_percent(surge, f"{field}.maxSurge")
    if not is_zero(unavailable) and not is_zero(surge):
        found.append(causes.invalid(f"{field}.maxSurge", surge, "may not be set when maxUnavailable is non-zero"))
    elif is_zero(unavailable) and is_zero(surge):
        found.append(causes.required(f"{field}.maxUnavailable", "cannot be 0 when maxSurge is 0"))
    return found


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    return [
        obj["metadata"]["name"],
        status.get("desiredNumberScheduled", 0),
        status.get("currentNumberScheduled", 0),
        status.get("numberReady", 0),
        status.get("updatedNumberScheduled", 0),
        status.get("numberAvailable", 0),
        columns.labels_cell(spec["template"]["spec"].get("nodeSelector")),
        columns.age(obj, now),
        *columns.template_cells(spec),
    ]


KIND = Kind(
    group="apps",
    version="v1",
    name="DaemonSet",
    plural="daemonsets",
    definition="io.k8s.api.apps.v1.DaemonSet",
    short_names=("ds",),
    categories=("all",),
    subresources=("status",),
    strategy=DaemonSetStrategy(),
    columns=(
        columns.NAME,
        Column("Desired", "integer", description="The number of nodes that should run the pod."),
        Column("Current", "integer", description="The number of nodes that run one and should."),
        Column("Ready", "integer", description="The number of nodes whose pod is ready."),
        Column("Up-to-date", "integer", description="The number of nodes whose pod is of the current template."),
        Column("Available", "integer", description="The number of nodes whose pod is available."),
        Column("Node Selector", description="The labels of the nodes that run the pod."),
        columns.AGE,
        columns.CONTAINERS,
        columns.IMAGES,
        columns.SELECTOR,
    ),
    cells=_cells,
)
