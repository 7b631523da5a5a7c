"""`/metrics/resources`: what pods ask for and may use, as the scheduler counts it. Pure.

Source: upstream pkg/scheduler/metrics/resources/resources.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pylet.aio.prometheus import gauges
from pylet.api.object import Object, dig
from pylet.api.podresources import Amounts, add, limits, requests
from pylet.api.podresources import amounts as parsed
from pylet.api.podtemplate import is_finished
from pylet.api.quantity import NANOS

_UNITS = {"cpu": "cores", "memory": "bytes", "storage": "bytes", "ephemeral-storage": "bytes"}


def lines(pods: Iterable[Object]) -> Iterator[str]:
    counted = [pod for pod in pods if not (pod["spec"].get("nodeName") and is_finished(pod))]
    for name, help_, of in (
        ("kube_pod_resource_limit", "What pods may use.", limits),
        ("kube_pod_resource_request", "What pods ask for.", requests),
    ):
        values = [
            ({**_labels(pod), "resource": resource, "unit": _unit(resource)}, amount.nanos / NANOS)
            for pod in counted
            for resource, amount in _with_overhead(pod, of(pod), is_limit=of is limits).items()
            if amount.nanos
        ]
        yield from gauges(name, help_, values)


def _with_overhead(pod: Object, amounts: Amounts, *, is_limit: bool) -> Amounts:
    """It comes on top of what is asked for, and of limits that are there."""
    overhead = parsed(pod["spec"].get("overhead"))
    if is_limit:
        overhead = {name: amount for name, amount in overhead.items() if name in amounts and amounts[name].nanos}
    add(amounts, overhead)
    return amounts


def _labels(pod: Object) -> dict[str, str]:
    meta, spec = pod["metadata"], pod["spec"]
    return {
        "namespace": meta["namespace"],
        "pod": meta["name"],
        "node": spec.get("nodeName", ""),
        "scheduler": spec.get("schedulerName", ""),
        "priority": str(dig(pod, "spec", "priority", default="")),
    }


def _unit(resource: str) -> str:
    if resource.startswith("hugepages-"):
        return "bytes"
    return _UNITS.get(resource, "integer" if resource.startswith("attachable-volumes-") else "")
