"""ComponentStatuses, deprecated since v1.19: whether upstream's processes answer. Here all are one, which does."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind
from pylet.api.object import Object


def _cells(obj: Object, now: datetime) -> list[Any]:
    healthy = next((each for each in obj.get("conditions") or () if each.get("type") == "Healthy"), None)
    if healthy is None:
        return [obj["metadata"]["name"], "Unknown", "", ""]
    status = "Healthy" if healthy.get("status") == "True" else "Unhealthy"
    return [obj["metadata"]["name"], status, healthy.get("message", ""), healthy.get("error", "")]


def all_healthy() -> list[Object]:
    return [
        {
            "kind": "ComponentStatus",
            "apiVersion": "v1",
            "metadata": {"name": name},
            "conditions": [{"type": "Healthy", "status": "True", "message": "ok"}],
        }
        for name in ("controller-manager", "etcd-0", "scheduler")
    ]


KIND = Kind(
    group="",
    version="v1",
    name="ComponentStatus",
    plural="componentstatuses",
    warning="v1 ComponentStatus is deprecated in v1.19+",
    definition="io.k8s.api.core.v1.ComponentStatus",
    namespaced=False,
    short_names=("cs",),
    verbs=("get", "list"),
    columns=(
        columns.NAME,
        Column("Status", description="Whether the component is healthy."),
        Column("Message", description="What it said."),
        Column("Error", description="Why it could not be asked."),
    ),
    cells=_cells,
)
