"""What is counted of autoscalers: looks at them and at metrics, and how many pods they want.

Source: upstream `pkg/controller/podautoscaler/monitor`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.aio.prometheus import Counter, Histogram, doubling, gauge, gauges
from pylet.api.kinds.horizontalpodautoscaler import KIND as AUTOSCALER
from pylet.api.object import dig
from pylet.client.view import View
from pylet.server.reconcile.plan import Count

_PREFIX = "horizontal_pod_autoscaler_controller_"
_OF_LOOK = ("action", "error")
_LOOKS = Counter(f"{_PREFIX}reconciliations_total", "Looks at autoscalers.", _OF_LOOK)
_SECONDS = Histogram(f"{_PREFIX}reconciliation_duration_seconds", "Looking.", _OF_LOOK, doubling(0.001, 15))
_METRICS = Counter(f"{_PREFIX}metric_computation_total", "Looks at metrics.", (*_OF_LOOK, "metric_type"))
NONE, SPEC, INTERNAL = "none", "spec", "internal"
"""What a look failed with."""


def metric(type_: str, current: int, proposal: int) -> Count:
    return Count(_METRICS, (direction(current, proposal), NONE, type_))


def failed_metric(type_: str) -> Count:
    return Count(_METRICS, (NONE, INTERNAL, type_))


def looked(action: str, error: str, seconds: float) -> None:
    _LOOKS.add(action, error)
    _SECONDS.observe(seconds, action, error)


def direction(current: int, wanted: int) -> str:
    return "none" if wanted == current else "scale_up" if wanted > current else "scale_down"


def lines(view: View) -> Iterator[str]:
    for each in (_LOOKS, _SECONDS, _METRICS):
        yield from each.lines()
    entries = view.table(AUTOSCALER).entries
    yield from gauge(f"{_PREFIX}num_horizontal_pod_autoscalers", "Autoscalers.", {}, len(entries))
    wanted = [
        ({"namespace": key.namespace, "hpa_name": key.name}, replicas)
        for key, entry in entries.items()
        if (replicas := dig(entry.decoded(), "status", "desiredReplicas")) is not None
    ]
    yield from gauges(f"{_PREFIX}desired_replicas", "Pods they want.", wanted)
