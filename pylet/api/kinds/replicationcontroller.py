"""ReplicationControllers. Source: core validation.go, ValidateReplicationController; their strategy.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, selector
from pylet.api.errors import Cause
from pylet.api.kind import Kind
from pylet.api.kinds.replicaset import COLUMNS, ReplicaSetStrategy, cells
from pylet.api.object import Object, dig
from pylet.api.podspec import template
from pylet.api.podspec.replicated import ReplicatedStrategy


class ReplicationControllerStrategy(ReplicatedStrategy):
    parts = ReplicaSetStrategy.parts
    counts = ReplicaSetStrategy.counts
    new_status: ClassVar[Object] = {"replicas": 0}

    def validate(self, obj: Object) -> Sequence[Cause]:
        spec = obj["spec"]
        found = template.not_negative(spec, "minReadySeconds")
        chosen = spec.get("selector")
        if not chosen:
            found.append(causes.required("spec.selector"))
        if "replicas" not in spec:
            found.append(causes.required("spec.replicas"))
        found += template.not_negative(spec, "replicas")
        pods = spec.get("template")
        if pods is None:
            return [*found, causes.required("spec.template")]
        labels = template.labels_of(pods)
        if chosen and not selector.from_labels(chosen)(labels):
            says = "`selector` does not match template `labels`"
            shown = dig(pods, "metadata", "labels")
            found.append(causes.invalid("spec.template.metadata.labels", shown, says))
        found += template.validate(pods, "spec.template")
        return [*found, *template.restarts_always(pods, "ReplicationController")]

    def changes(self, spec: Object, old: Object) -> list[Cause]:
        return []


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [*cells(obj, now)[:-1], columns.labels_cell(obj["spec"].get("selector"))]


KIND = Kind(
    group="",
    version="v1",
    name="ReplicationController",
    plural="replicationcontrollers",
    definition="io.k8s.api.core.v1.ReplicationController",
    short_names=("rc",),
    categories=("all",),
    subresources=("scale", "status"),
    strategy=ReplicationControllerStrategy(),
    columns=COLUMNS,
    cells=_cells,
    fields={"status.replicas": lambda obj: str((obj.get("status") or {}).get("replicas", 0))},
)
