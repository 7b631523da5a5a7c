"""`/metrics/cadvisor`: the series that dashboards read, by cAdvisor's names. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeAlias

from pylet.agent.kubelet import group_bounds, group_counts, machine_disks
from pylet.agent.kubelet.stats import ContainerUse, NodeUse, PodUse
from pylet.agent.kubelet.usage import Usage
from pylet.aio.prometheus import Sample, family, in_seconds

_Group: TypeAlias = tuple[dict[str, str], Usage, Mapping[str, float | None]]
"""The labels of a control group, what it uses, and what is counted of it by the names of series."""


def cadvisor_metrics(node: NodeUse) -> str:
    """`/metrics/cadvisor`: the series that dashboards read."""
    groups = [*_groups(node)]
    lines = (
        *family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            in_seconds([({**labels, "cpu": "total"}, usage.cpu_nanoseconds, usage.at) for labels, usage, _ in groups]),
        ),
        *family(
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            [(labels, usage.memory_bytes, usage.at) for labels, usage, _ in groups],
        ),
        *family(
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set in bytes.",
            [(labels, usage.working_set_bytes, usage.at) for labels, usage, _ in groups],
        ),
        *family(
            "container_memory_rss",
            "gauge",
            "Size of RSS in bytes.",
            [(labels, usage.rss_bytes, usage.at) for labels, usage, _ in groups],
        ),
        *_counts(groups),
        *_pressure(groups),
        *_starts(node),
        *_traffic(node),
        *_seen(groups),
        *family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, node.cpus, None)]),
        *family("machine_memory_bytes", "gauge", "Amount of memory installed.", [({}, node.capacity_bytes, None)]),
    )
    return "\n".join(lines) + "\n"


def _groups(node: NodeUse) -> Iterator[_Group]:
    for use in node.pods:
        yield {"container": "", "id": use.group, "image": "", "name": "", **use.names}, use.usage, use.counts
    for use in node.pods:
        for c in use.containers:
            yield _labels(use, c), c.usage, {**c.counts, "container_fs_usage_bytes|": c.rootfs_bytes}
    unnamed = dict.fromkeys(("container", "image", "name", "namespace", "pod"), "")
    yield {**unnamed, "id": "/"}, node.usage, node.counts
    if node.of_pods is not None:
        yield {**unnamed, "id": "/kubepods"}, node.of_pods, node.pods_counts


def _labels(use: PodUse, container: ContainerUse) -> dict[str, str]:
    return {
        "container": container.name, "id": container.group, "image": container.image, "name": container.id, **use.names
    }  # fmt: skip


_SERIES: dict[str, tuple[str, ...]] = {**group_counts.SERIES, **machine_disks.SERIES, **group_bounds.SERIES}


def _counts(groups: Iterable[_Group]) -> Iterator[str]:
    found: dict[str, list[Sample]] = {}
    for labels, usage, counts in groups:
        for key, value in counts.items():
            name, *values = key.split("|")
            at = None if name in group_bounds.SERIES else usage.at
            further = dict(zip(_SERIES[name][2:], values, strict=True))
            found.setdefault(name, []).append(({**labels, **further}, value, at))
    for name, samples in found.items():
        type_, help_, *_ = _SERIES[name]
        yield from family(name, type_, help_, samples)


def _pressure(groups: Sequence[_Group]) -> Iterator[str]:
    waits = (("stalled", "full", "no tasks in the container could make progress"),
             ("waiting", "some", "tasks in the container have waited"))  # fmt: skip
    for resource, spoken in (("cpu", "CPU"), ("memory", "memory"), ("io", "IO")):
        for wait, who, what in waits:
            samples = [
                (labels, found[who]["total"] / 1e6, usage.at)
                for labels, usage, _ in groups
                if who in (found := usage.pressure.get(resource, {}))
            ]
            name = f"container_pressure_{resource}_{wait}_seconds_total"
            yield from family(name, "counter", f"Total time duration {what} due to {spoken} congestion.", samples)


def _starts(node: NodeUse) -> Iterator[str]:
    yield from family(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds.",
        [
            ({**_labels(use, c), "device": ""}, c.started_at.timestamp() if c.started_at else None, None)
            for use in node.pods
            for c in use.containers
        ],
    )


_TRAFFIC = (
    ("receive_bytes", "Cumulative count of bytes received", "rx_bytes"),
    ("receive_errors", "Cumulative count of errors encountered while receiving", "rx_errors"),
    ("receive_packets", "Cumulative count of packets received", "rx_packets"),
    ("receive_packets_dropped", "Cumulative count of packets dropped while receiving", "rx_dropped"),
    ("transmit_packets", "Cumulative count of packets transmitted", "tx_packets"),
    ("transmit_packets_dropped", "Cumulative count of packets dropped while transmitting", "tx_dropped"),
    ("transmit_bytes", "Cumulative count of bytes transmitted", "tx_bytes"),
    ("transmit_errors", "Cumulative count of errors encountered while transmitting", "tx_errors"),
)


def _traffic(node: NodeUse) -> Iterator[str]:
    """One network a pod, shown as its sandbox's."""
    for name, help_, attribute in _TRAFFIC:
        samples = [
            (
                {"container": "", "id": u.group, "image": "", "interface": t.name, "name": "", **u.names},
                float(getattr(t, attribute)),
                u.usage.at,
            )
            for u in node.pods
            for t in u.network
        ]  # fmt: skip
        yield from family(f"container_network_{name}_total", "counter", help_, samples)


def _seen(groups: Iterable[_Group]) -> Iterator[str]:
    name, help_ = "container_last_seen", "Last time a container was seen by the exporter"
    yield from family(
        name, "gauge", help_, [(labels, int(usage.at.timestamp()), usage.at) for labels, usage, _ in groups]
    )
