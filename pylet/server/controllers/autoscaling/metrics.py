"""What the metrics APIs are asked, and what their answers mean, in thousandths. Pure.

Source: upstream `pkg/controller/podautoscaler/metrics/client.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeAlias
from urllib.parse import quote

from pylet.api import goduration, quantity, selector, timestamps
from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.server.reconcile.observations import Answer

Ask: TypeAlias = Callable[[str], Answer | None]
"""The answer of an API path as last read."""

_WINDOW = timedelta(minutes=1)


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
            found[item["metadata"]["name"]] = Sample(value, at, goduration.parse(item.get("window", "0s")))
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
