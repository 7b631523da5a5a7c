"""NetworkPolicies."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object


class NetworkPolicyStrategy(Strategy):
    has_generation = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    return [obj["metadata"]["name"], columns.selector_cell(obj["spec"].get("podSelector")), columns.age(obj, now)]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="NetworkPolicy",
    plural="networkpolicies",
    definition="io.k8s.api.networking.v1.NetworkPolicy",
    short_names=("netpol",),
    strategy=NetworkPolicyStrategy(),
    columns=(
        columns.NAME,
        Column("Pod-Selector", description="The pods it is about."),
        columns.AGE,
    ),
    cells=_cells,
)
