"""CSIDrivers."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class CSIDriverStrategy(Strategy):
    has_generation = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    requests = spec.get("tokenRequests")
    return [
        obj["metadata"]["name"],
        spec.get("attachRequired", True),
        spec.get("podInfoOnMount", False),
        spec.get("storageCapacity", False),
        "<unset>" if requests is None else ",".join(request.get("audience", "") for request in requests),
        spec.get("requiresRepublish", False),
        ",".join(spec.get("volumeLifecycleModes") or ()) or "<none>",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIDriver",
    plural="csidrivers",
    definition="io.k8s.api.storage.v1.CSIDriver",
    namespaced=False,
    strategy=CSIDriverStrategy(),
    columns=(
        columns.NAME,
        Column("AttachRequired", "boolean", description="Whether volumes must be attached to nodes."),
        Column("PodInfoOnMount", "boolean", description="Whether the driver is told of the pod."),
        Column("StorageCapacity", "boolean", description="Whether the scheduler considers its capacity."),
        Column("TokenRequests", description="Audiences of the tokens the driver gets."),
        Column("RequiresRepublish", "boolean", description="Whether volumes are published again and again."),
        Column("Modes", description="Kinds of volumes the driver has."),
        columns.AGE,
    ),
    cells=_cells,
)
