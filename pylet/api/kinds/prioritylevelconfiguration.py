"""PriorityLevelConfigurations: how many requests of a level run at once, and what becomes of the rest."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class PriorityLevelConfigurationStrategy(Strategy):
    has_status = True
    has_generation = True
    status_keeps_metadata = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    queuing = dig(spec, "limited", "limitResponse", "queuing", default={})
    return [
        obj["metadata"]["name"],
        spec.get("type", ""),
        dig(spec, "limited", "nominalConcurrencyShares", default="<none>"),
        queuing.get("queues", "<none>"),
        queuing.get("handSize", "<none>"),
        queuing.get("queueLengthLimit", "<none>"),
        columns.age(obj, now),
    ]


KIND = Kind(
    group="flowcontrol.apiserver.k8s.io",
    version="v1",
    name="PriorityLevelConfiguration",
    plural="prioritylevelconfigurations",
    definition="io.k8s.api.flowcontrol.v1.PriorityLevelConfiguration",
    namespaced=False,
    subresources=("status",),
    strategy=PriorityLevelConfigurationStrategy(),
    columns=(
        columns.NAME,
        Column("Type", description="Whether requests are limited at all."),
        Column("NominalConcurrencyShares", description="Its share of the seats."),
        Column("Queues", description="How many queues it has."),
        Column("HandSize", description="How many queues one flow may use."),
        Column("QueueLengthLimit", description="How long a queue may get."),
        columns.AGE,
    ),
    cells=_cells,
)
