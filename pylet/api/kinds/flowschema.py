"""FlowSchemas: which requests are served at which priority level."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of, dig


class FlowSchemaStrategy(Strategy):
    has_status = True
    has_generation = True
    status_keeps_metadata = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    dangling = condition_of(obj, "Dangling")
    return [
        obj["metadata"]["name"],
        dig(spec, "priorityLevelConfiguration", "name", default=""),
        spec.get("matchingPrecedence", 0),
        dig(spec, "distinguisherMethod", "type", default="<none>"),
        columns.age(obj, now),
        dangling.get("status", "") if dangling else "?",
    ]


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="FlowSchema",
    plural="flowschemas",
    definition="io.k8s.api.flowcontrol.v1.FlowSchema",
    namespaced=False,
    subresources=("status",),
    strategy=FlowSchemaStrategy(),
    columns=(
        columns.NAME,
        Column("PriorityLevel", description="The priority level of requests that match."),
        Column("MatchingPrecedence", description="Lower ones are tried first."),
        Column("DistinguisherMethod", description="How requests are told apart into flows."),
        columns.AGE,
        Column("MissingPL", description="Whether its priority level is missing or broken."),
    ),
    cells=_cells,
)
