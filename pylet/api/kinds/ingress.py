"""Ingresses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pylet.api import columns
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig


class IngressStrategy(Strategy):
    has_status = True
    has_generation = True


_SHOWN_HOSTS = 3


def _hosts(rules: list[Object]) -> str:
    hosts = [rule["host"] for rule in rules if rule.get("host")]
    if not hosts:
        return "*"
    shown = ",".join(hosts[:_SHOWN_HOSTS])
    return f"{shown} + {len(rules) - _SHOWN_HOSTS} more..." if len(hosts) > _SHOWN_HOSTS else shown


def _addresses(obj: Object) -> str:
    ingress = dig(obj, "status", "loadBalancer", "ingress", default=())
    return ",".join(sorted({one.get("ip") or one.get("hostname") for one in ingress} - {None, ""}))


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec = obj["spec"]
    return [
        obj["metadata"]["name"],
        spec.get("ingressClassName") or "<none>",
        _hosts(spec.get("rules") or []),
        _addresses(obj),
        "80, 443" if spec.get("tls") else "80",
        columns.age(obj, now),
    ]


KIND = Kind(
    group="networking.k8s.io",
    version="v1",
    name="Ingress",
    plural="ingresses",
    definition="io.k8s.api.networking.v1.Ingress",
    short_names=("ing",),
    subresources=("status",),
    strategy=IngressStrategy(),
    columns=(
        columns.NAME,
        Column("Class", description="The IngressClass that serves it."),
        Column("Hosts", description="The hosts it matches."),
        Column("Address", description="Where it is reached."),
        Column("Ports", description="The ports it opens."),
        columns.AGE,
    ),
    cells=_cells,
)
