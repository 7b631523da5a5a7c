"""APIServices: which server serves a group and version."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, condition_of


class APIServiceStrategy(Strategy):
    has_status = True
    status_keeps_metadata = True


def _cells(obj: Object, now: datetime) -> list[Any]:
    service = obj["spec"].get("service")
    available = condition_of(obj, "Available") or {}
    status, reason = available.get("status", "Unknown"), available.get("reason", "")
    return [
        obj["metadata"]["name"],
        f"{service.get('namespace', '')}/{service.get('name', '')}" if service else "Local",
        status if status == "True" or not reason else f"{status} ({reason})",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="apiregistration.k8s.io",
    version="v1",
    name="APIService",
    plural="apiservices",
    definition="io.k8s.kube-aggregator.pkg.apis.apiregistration.v1.APIService",
    namespaced=False,
    categories=("api-extensions",),
    subresources=("status",),
    strategy=APIServiceStrategy(),
    columns=(
        columns.NAME,
        Column("Service", description="The Service that serves it, or Local."),
        Column("Available", description="Whether it can be reached."),
        columns.AGE,
    ),
    cells=_cells,
)
