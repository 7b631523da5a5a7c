"""What the metrics APIs are asked, and what their answers mean, in thousandths. Pure.

Source: upstream `pkg/controller/podautoscaler/metrics/client.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import quote

from pylet.api import quantity, selector, timestamps
from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.server.reconcile.observations import Answer

Ask: TypeAlias = Callable[[str], Answer | None]
"""The answer of an API path as last read."""

_WINDOW = timedelta(minutes=1)
_UNIT_SECONDS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


class NotYet(Exception):
    """The metric has not been read yet."""


class Unknown(Exception):
    """The metric cannot be had; the message says why."""


@dataclass(frozen=True, slots=True)
class Sample:
    value: int
    at: datetime
    window: timedelta = _WINDOW


Samples: TypeAlias = dict[str, Sample]
"""By the name of the pod."""


def of_resource(ask: Ask, name: str, namespace: str, pods: str, container: str) -> Samples:
    """A resource's use by each pod, or by one container of each. Raises: NotYet, Unknown."""
    path = f"/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods?labelSelector={quote(pods)}"
    found: Samples = {}
    for item in _items(ask, path, "resource"):
        uses = {c["name"]: c.get("usage") or {} for c in item.get("containers") or ()}
        wanted = [uses[container]] if container in uses else [] if container else list(uses.values())
        if wanted and all(name in use for use in wanted):
            value = sum(quantity.milli_of(use[name]) for use in wanted)
            at = timestamps.parse(item["timestamp"])
            found[item["metadata"]["name"]] = Sample(value, at, _duration(item.get("window", "0s")))
    return found


def of_pods(ask: Ask, metric: Object, namespace: str, pods: str) -> Samples:
    """A custom metric of each pod. Raises: NotYet, Unknown."""
    path = f"{_custom(namespace)}/pods/*/{_named(metric, 'metricLabelSelector', f'labelSelector={quote(pods)}')}"
    return {
        item["describedObject"]["name"]: Sample(
            quantity.milli_of(item["value"]),
            timestamps.parse(item["timestamp"]),
            timedelta(seconds=item["windowSeconds"]) if item.get("windowSeconds") is not None else _WINDOW,
        )
        for item in _items(ask, path, "custom")
    }


def of_object(ask: Ask, metric: Object, namespace: str, resource: str, name: str) -> int:
    """A custom metric of one object; `resource` is `ingresses.networking.k8s.io`. Raises: NotYet, Unknown."""
    if resource == "namespaces":
        path = f"{_custom('')}/namespaces/{namespace}/metrics/{_named(metric, 'metricLabelSelector')}"
    else:
        path = f"{_custom(namespace)}/{resource}/{name}/{_named(metric, 'metricLabelSelector')}"
    return quantity.milli_of(next(_items(ask, path, "custom"))["value"])


def of_outside(ask: Ask, metric: Object, namespace: str) -> int:
    """The sum of an external metric's values. Raises: NotYet, Unknown."""
    path = f"/apis/external.metrics.k8s.io/v1beta1/namespaces/{namespace}/{_named(metric, 'labelSelector')}"
    return sum(quantity.milli_of(item["value"]) for item in _items(ask, path, "external"))


def _items(ask: Ask, path: str, which: str) -> Iterator[Object]:
    match ask(path):
        case None:
            raise NotYet
        case ApiError() as refused:
            raise Unknown(f"unable to fetch metrics from {which} metrics API: {refused.message}")
        case answer:
            if not answer.get("items"):
                raise Unknown(f"no metrics returned from {which} metrics API")
            return iter(answer["items"])


def _custom(namespace: str) -> str:
    root = "/apis/custom.metrics.k8s.io/v1beta2"
    return f"{root}/namespaces/{namespace}" if namespace else root


def _named(metric: Object, parameter: str, *terms: str) -> str:
    query = [*terms]
    if metric.get("selector") is not None:
        query.append(f"{parameter}={quote(str(selector.from_object(metric['selector'])))}")
    return f"{metric['name']}?{'&'.join(query)}" if query else str(metric["name"])


def _duration(text: str) -> timedelta:
    """A Go duration such as `1m30.5s`."""
    seconds, number, unit = 0.0, "", ""
    for char in f"{text} 0":
        if char.isdigit() or char in ". ":
            if unit:
                seconds += float(number) * _UNIT_SECONDS.get(unit, 0.0)
                number = unit = ""
            number += char.strip()
        else:
            unit += char
    return timedelta(seconds=seconds)
