"""`/metrics/resource`: what the resource metrics API is made of. Pure.

Source: upstream `pkg/kubelet/metrics/collectors/resource_metrics.go`.
"""

from __future__ import annotations

from collections.abc import Iterator

from pylet.agent.kubelet.stats import NodeUse
from pylet.aio.prometheus import family, in_seconds


def resource_metrics(node: NodeUse) -> str:
    """`/metrics/resource`: counters with the moment they were read, which rates are computed from."""
    of_containers = [({"container": c.name, **use.names}, c) for use in node.pods for c in use.containers]
    cpu = [(labels, c.usage.cpu_nanoseconds, c.usage.at) for labels, c in of_containers]
    memory = [(labels, c.usage.working_set_bytes, c.usage.at) for labels, c in of_containers]
    starts = [(labels, c.started_at.timestamp() if c.started_at else None, None) for labels, c in of_containers]
    pods = node.pods
    nowhere: dict[str, str] = {}
    lines = (
        *family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
            in_seconds(cpu),
        ),
        *family("container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes", memory),
        *family(
            "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds", starts
        ),
        *family(
            "node_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the node in core-seconds",
            in_seconds([(nowhere, node.usage.cpu_nanoseconds, node.usage.at)]),
        ),
        *family(
            "node_memory_working_set_bytes",
            "gauge",
            "Current working set of the node in bytes",
            [(nowhere, node.usage.working_set_bytes, node.usage.at)],
        ),
        *family(
            "pod_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the pod in core-seconds",
            in_seconds([(use.names, use.usage.cpu_nanoseconds, use.usage.at) for use in pods]),
        ),
        *family(
            "pod_memory_working_set_bytes",
            "gauge",
            "Current working set of the pod in bytes",
            [(use.names, use.usage.working_set_bytes, use.usage.at) for use in pods],
        ),
        *_swap(node),
        *family(
            "resource_scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
            [(nowhere, 0, None)],
        ),
    )
    return "\n".join(lines) + "\n"


def _swap(node: NodeUse) -> Iterator[str]:
    of_containers = [({"container": c.name, **use.names}, c.usage) for use in node.pods for c in use.containers]
    of_pods = [(use.names, use.usage) for use in node.pods]
    for whose, uses in (("container", of_containers), ("pod", of_pods), ("node", [({}, node.usage)])):
        help_ = f"Current swap usage of the {whose} in bytes. Reported only on non-windows systems"
        yield from family(f"{whose}_swap_usage_bytes", "gauge", help_, [(x, u.swap_bytes, u.at) for x, u in uses])
    help_ = "Current amount of the container swap limit in bytes. Reported only on non-windows systems"
    limits = [(labels, usage.swap_limit_bytes, usage.at) for labels, usage in of_containers]
    yield from family("container_swap_limit_bytes", "gauge", help_, limits)
