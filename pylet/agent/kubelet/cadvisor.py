"""`/metrics/cadvisor`: the series that dashboards read, by cAdvisor's names. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from pylet.agent.kubelet.spec import all_containers, memory_bytes, milli_cpu
from pylet.agent.kubelet.stats import NodeUse
from pylet.agent.kubelet.usage import Usage
from pylet.aio.prometheus import family, in_seconds


def cadvisor_metrics(node: NodeUse) -> str:
    """`/metrics/cadvisor`: the series that dashboards read."""
    rows = [({"container": "", "id": f"/kubepods/pod{u.pod['metadata']['uid']}", "image": "", "name": "", **u.names},
             u.usage) for u in node.pods]  # fmt: skip
    rows += [
        ({"container": c.name, "id": f"/{c.id}", "image": c.image, "name": c.id, **use.names}, c.usage)
        for use in node.pods
        for c in use.containers
    ]
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
        *_pressure(rows),
        *_filesystems(node),
        *_traffic(node),
        *_limits(node),
        *family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, node.cpus, None)]),
        *family("machine_memory_bytes", "gauge", "Amount of memory installed.", [({}, node.capacity_bytes, None)]),
    )
    return "\n".join(lines) + "\n"


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
    of_containers = [
        ({"container": c.name, "device": "", "id": f"/{c.id}", "image": c.image, "name": c.id, **use.names}, c)
        for use in node.pods
        for c in use.containers
    ]
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
    yield from family(
        "container_processes",
        "gauge",
        "Number of processes running inside the container.",
        [({"container": "", "id": f"/pod{u.pod['metadata']['uid']}", **u.names}, u.processes, None) for u in node.pods],
    )


_TRAFFIC = (
    ("receive_bytes", "Cumulative count of bytes received", "rx_bytes"),
    ("receive_errors", "Cumulative count of errors encountered while receiving", "rx_errors"),
    ("transmit_bytes", "Cumulative count of bytes transmitted", "tx_bytes"),
    ("transmit_errors", "Cumulative count of errors encountered while transmitting", "tx_errors"),
)


def _traffic(node: NodeUse) -> Iterator[str]:
    """One network a pod, shown as its sandbox's."""
    for name, help_, attribute in _TRAFFIC:
        samples = [
            (
                {"container": "", "id": f"/pod{u.pod['metadata']['uid']}", "image": "", "interface": t.name, "name": "",
                 **u.names},
                float(getattr(t, attribute)),
                u.usage.at,
            )
            for u in node.pods
            for t in u.network
        ]  # fmt: skip
        yield from family(f"container_network_{name}_total", "counter", help_, samples)


def _limits(node: NodeUse) -> Iterator[str]:
    """What containers may use, as dashboards set it beside what they do use."""
    asked = []
    for use in node.pods:
        specs = {c["name"]: c for c in all_containers(use.pod)}
        for c in use.containers:
            labels = {"container": c.name, "id": f"/{c.id}", "image": c.image, "name": c.id, **use.names}
            asked.append((labels, specs.get(c.name, {})))
    milli = [(labels, milli_cpu(spec, "limits")) for labels, spec in asked]
    for name, help_, samples in (
        ("cpu_period", "CPU period of the container.", [(labels, 100_000) for labels, _ in asked]),
        ("cpu_quota", "CPU quota of the container.", [(labels, m * 100 if m else None) for labels, m in milli]),
        ("memory_limit_bytes", "Memory limit for the container.", [(x, memory_bytes(s, "limits")) for x, s in asked]),
    ):
        yield from family(f"container_spec_{name}", "gauge", help_, [(labels, v, None) for labels, v in samples])
