"""`/metrics/cadvisor`: the series that dashboards read, by cAdvisor's names. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.agent.kubelet import group_bounds, group_counts
from pylet.agent.kubelet.stats import ContainerUse, NodeUse, PodUse
from pylet.agent.kubelet.usage import Usage
from pylet.aio.prometheus import Sample, family, in_seconds


def cadvisor_metrics(node: NodeUse) -> str:
    """`/metrics/cadvisor`: the series that dashboards read."""
    groups: list[tuple[dict[str, str], PodUse | ContainerUse]] = [
        ({"container": "", "id": use.group, "image": "", "name": "", **use.names}, use) for use in node.pods
    ]
    groups += [(_labels(use, c), c) for use in node.pods for c in use.containers]
    rows = [(labels, use.usage) for labels, use in groups]
    for group, usage in (("/", node.usage), ("/kubepods", node.of_pods)):
        if usage is not None:
            rows.append(({**dict.fromkeys(("container", "image", "name", "namespace", "pod"), ""), "id": group}, usage))
    lines = (
        *family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            in_seconds([({**labels, "cpu": "total"}, usage.cpu_nanoseconds, usage.at) for labels, usage in rows]),
        ),
        *family(
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            [(labels, usage.memory_bytes, usage.at) for labels, usage in rows],
        ),
        *family(
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set in bytes.",
            [(labels, usage.working_set_bytes, usage.at) for labels, usage in rows],
        ),
        *family(
            "container_memory_rss",
            "gauge",
            "Size of RSS in bytes.",
            [(labels, usage.rss_bytes, usage.at) for labels, usage in rows],
        ),
        *_counts(groups),
        *_pressure(rows),
        *_filesystems(node),
        *_traffic(node),
        *_seen(groups),
        *family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, node.cpus, None)]),
        *family("machine_memory_bytes", "gauge", "Amount of memory installed.", [({}, node.capacity_bytes, None)]),
    )
    return "\n".join(lines) + "\n"


def _labels(use: PodUse, container: ContainerUse) -> dict[str, str]:
    return {
        "container": container.name, "id": container.group, "image": container.image, "name": container.id, **use.names
    }  # fmt: skip


_SERIES: dict[str, tuple[str, ...]] = {**group_counts.SERIES, **group_bounds.SERIES}


def _counts(groups: list[tuple[dict[str, str], PodUse | ContainerUse]]) -> Iterator[str]:
    found: dict[str, list[Sample]] = {}
    for labels, use in groups:
        for key, value in use.counts.items():
            name, *values = key.split("|")
            at = None if name in group_bounds.SERIES else use.usage.at
            further = dict(zip(_SERIES[name][2:], values, strict=True))
            found.setdefault(name, []).append(({**labels, **further}, value, at))
    for name, samples in found.items():
        type_, help_, *_ = _SERIES[name]
        yield from family(name, type_, help_, samples)


def _pressure(rows: list[tuple[dict[str, str], Usage]]) -> Iterator[str]:
    waits = (("stalled", "full", "no tasks in the container could make progress"),
             ("waiting", "some", "tasks in the container have waited"))  # fmt: skip
    for resource, spoken in (("cpu", "CPU"), ("memory", "memory"), ("io", "IO")):
        for wait, who, what in waits:
            samples = [
                (labels, found[who]["total"] / 1e6, usage.at)
                for labels, usage in rows
                if who in (found := usage.pressure.get(resource, {}))
            ]
            name = f"container_pressure_{resource}_{wait}_seconds_total"
            yield from family(name, "counter", f"Total time duration {what} due to {spoken} congestion.", samples)


def _filesystems(node: NodeUse) -> Iterator[str]:
    of_containers = [({**_labels(use, c), "device": ""}, c) for use in node.pods for c in use.containers]
    yield from family(
        "container_fs_usage_bytes",
        "gauge",
        "Number of bytes that are consumed by the container on this filesystem.",
        [(labels, c.rootfs_bytes, c.usage.at) for labels, c in of_containers],
    )
    yield from family(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds.",
        [
            ({**labels, "device": ""}, c.started_at.timestamp() if c.started_at else None, None)
            for labels, c in of_containers
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


def _seen(groups: list[tuple[dict[str, str], PodUse | ContainerUse]]) -> Iterator[str]:
    name, help_ = "container_last_seen", "Last time a container was seen by the exporter"
    yield from family(name, "gauge", help_, [(labels, int(u.usage.at.timestamp()), u.usage.at) for labels, u in groups])
