"""Use as the API shows it: NodeMetrics, PodMetrics, their lists and tables. Pure.

Source: `staging/src/k8s.io/metrics/pkg/apis/metrics/v1beta1`, metrics-server `pkg/api/{node,pod,table}.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from pylet.api import goduration, timestamps
from pylet.api.object import Object, labels_of
from pylet.api.quantity import NANOS, Format, Quantity, parse
from pylet.api.wire.metadata import partial
from pylet.server.usage.samples import Use

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
API_VERSION = f"{GROUP}/{VERSION}"
_VERBS = ["get", "list"]

DISCOVERY: Object = {
    "kind": "APIResourceList",
    "apiVersion": "v1",
    "groupVersion": API_VERSION,
    "resources": [
        {"name": "nodes", "singularName": "", "namespaced": False, "kind": "NodeMetrics", "verbs": _VERBS},
        {"name": "pods", "singularName": "", "namespaced": True, "kind": "PodMetrics", "verbs": _VERBS},
    ],
}


def node_metrics(node: Object, use: Use, now: datetime) -> Object:
    return {**_head("NodeMetrics", node, use, now), "usage": _usage(use)}


def pod_metrics(pod: Object, uses: Mapping[str, Use], now: datetime) -> Object:
    """`uses` by container; the pod's moment is that of the container that was read first."""
    earliest = min(uses.values())
    containers = [{"name": name, "usage": _usage(use)} for name, use in uses.items()]
    return {**_head("PodMetrics", pod, earliest, now), "containers": containers}


def listed(kind: str, items: Iterable[Object]) -> Object:
    bare = [{name: value for name, value in item.items() if name not in ("kind", "apiVersion")} for item in items]
    return {"kind": f"{kind}List", "apiVersion": API_VERSION, "metadata": {}, "items": bare}


def table(items: Sequence[Object], include: str = "") -> Object:
    """`include` as the query's includeObject says it."""
    resources = ("cpu", "memory")
    columns = [
        {"name": "Name", "type": "string", "format": "name", "description": "Name of the resource", "priority": 0},
        *(
            {"name": name, "type": "string", "format": "quantity", "description": "", "priority": 0}
            for name in resources
        ),
        {"name": "Window", "type": "string", "format": "duration", "description": "", "priority": 0},
    ]
    rows = [
        {
            "cells": [item["metadata"]["name"], *(_total(item, name) for name in resources), item["window"]],
            "object": item if include == "Object" else None if include == "None" else partial(item),
        }
        for item in items
    ]
    columns = columns if items else []
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": columns,
        "rows": rows,
    }


def _head(kind: str, of: Object, use: Use, now: datetime) -> Object:
    meta = of["metadata"]
    return {
        "kind": kind,
        "apiVersion": API_VERSION,
        "metadata": {
            "name": meta["name"],
            **({"namespace": meta["namespace"]} if meta.get("namespace") else {}),
            "creationTimestamp": timestamps.format_time(now),
            **({"labels": labels} if (labels := labels_of(of)) else {}),
        },
        "timestamp": timestamps.format_time(datetime.fromtimestamp(use.at, UTC)),
        "window": goduration.shown(timedelta(milliseconds=round(use.window / timedelta(milliseconds=1)))),
    }


def _usage(use: Use) -> dict[str, str]:
    return {"cpu": str(Quantity(use.cpu_nanocores)), "memory": str(_bytes(use.memory_bytes * NANOS))}


def _total(item: Object, resource: str) -> str:
    uses = [item["usage"]] if "usage" in item else [container["usage"] for container in item["containers"]]
    nanos = sum(parse(use[resource]).nanos for use in uses)
    return str(Quantity(nanos) if resource == "cpu" else _bytes(nanos))


def _bytes(nanos: int) -> Quantity:
    return Quantity(nanos, Format.BINARY_SI)
