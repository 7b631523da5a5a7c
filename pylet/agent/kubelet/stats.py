"""What the node, its pods and containers use, as `/stats/summary` and the Prometheus endpoints tell it. Pure.

Source: upstream `staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1`, `pkg/kubelet/metrics/collectors/
resource_metrics.go`; the names of `/metrics/cadvisor` are cAdvisor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pylet.agent.kubelet.usage import Usage
from pylet.api import timestamps
from pylet.api.object import Object, dig


@dataclass(frozen=True, slots=True)
class ContainerUse:
    name: str
    id: str
    image: str
    started_at: datetime | None
    usage: Usage
    rootfs_bytes: int | None = None
    logs_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class PodUse:
    pod: Object
    usage: Usage
    containers: tuple[ContainerUse, ...]

    @property
    def names(self) -> dict[str, str]:
        meta = self.pod["metadata"]
        return {"namespace": meta["namespace"], "pod": meta["name"]}


@dataclass(frozen=True, slots=True)
class NodeUse:
    """`filesystem` is (capacity, available, inodes, free inodes); `capacity_bytes` is the machine's memory."""

    name: str
    started_at: datetime
    usage: Usage
    cpus: int
    capacity_bytes: int
    filesystem: tuple[int, int, int, int]
    pods: tuple[PodUse, ...]


@dataclass(slots=True)
class Rates:
    """How fast counters grow, between one asking and the next."""

    _before: dict[str, Usage] = field(default_factory=dict)
    _rates: dict[str, int] = field(default_factory=dict)

    def nano_cores(self, key: str, usage: Usage) -> int | None:
        before = self._before.get(key)
        if usage.cpu_nanoseconds is None:
            return None
        if before is None or before.cpu_nanoseconds is None:
            self._before[key] = usage
            return None
        seconds = (usage.at - before.at).total_seconds()
        if seconds >= 1:
            self._rates[key] = max(0, int((usage.cpu_nanoseconds - before.cpu_nanoseconds) / seconds))
            self._before[key] = usage
        return self._rates.get(key)

    def keep(self, keys: Iterable[str]) -> None:
        alive = set(keys)
        self._before = {key: usage for key, usage in self._before.items() if key in alive}
        self._rates = {key: rate for key, rate in self._rates.items() if key in alive}


# ---- /stats/summary


def summary(node: NodeUse, rates: Rates) -> Object:
    at = timestamps.format_time(node.usage.at)
    size, available, inodes, free = node.filesystem
    disk = {
        "time": at,
        "availableBytes": available,
        "capacityBytes": size,
        "usedBytes": size - available,
        "inodesFree": free,
        "inodes": inodes,
        "inodesUsed": inodes - free,
    }
    found = {
        "node": {
            "nodeName": node.name,
            "startTime": timestamps.format_time(node.started_at),
            **_use("node", node.usage, rates, node.capacity_bytes),
            "fs": disk,
            "runtime": {"imageFs": disk, "containerFs": disk},
        },
        "pods": [_pod(use, rates) for use in node.pods],
    }
    ids = (container.id for use in node.pods for container in use.containers)
    rates.keep(("node", *(use.pod["metadata"]["uid"] for use in node.pods), *ids))
    return found


def _pod(use: PodUse, rates: Rates) -> Object:
    meta = use.pod["metadata"]
    return {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": dig(use.pod, "status", "startTime"),
        "containers": [_container(container, rates) for container in use.containers],
        **_use(meta["uid"], use.usage, rates),
    }


def _container(use: ContainerUse, rates: Rates) -> Object:
    at = timestamps.format_time(use.usage.at)
    found: Object = {"name": use.name, **_use(use.id, use.usage, rates)}
    if use.started_at is not None:
        found["startTime"] = timestamps.format_time(use.started_at)
    for name, used in (("rootfs", use.rootfs_bytes), ("logs", use.logs_bytes)):
        if used is not None:
            found[name] = {"time": at, "usedBytes": used}
    return found


def _use(key: str, usage: Usage, rates: Rates, capacity_bytes: int | None = None) -> Object:
    at = timestamps.format_time(usage.at)
    working_set = usage.working_set_bytes
    available = None if capacity_bytes is None or working_set is None else max(0, capacity_bytes - working_set)
    cpu = {"usageNanoCores": rates.nano_cores(key, usage), "usageCoreNanoSeconds": usage.cpu_nanoseconds}
    memory = {
        "availableBytes": available,
        "usageBytes": usage.memory_bytes,
        "workingSetBytes": working_set,
        "rssBytes": usage.rss_bytes,
        "pageFaults": usage.page_faults,
        "majorPageFaults": usage.major_page_faults,
    }
    return {
        name: {"time": at, **{field_name: value for field_name, value in values.items() if value is not None}}
        for name, values in (("cpu", cpu), ("memory", memory))
    }


# ---- Prometheus


def resource_metrics(node: NodeUse) -> str:
    """`/metrics/resource`: counters with the moment they were read, which rates are computed from."""
    of_containers = [({"container": c.name, **use.names}, c) for use in node.pods for c in use.containers]
    cpu = [(labels, c.usage.cpu_nanoseconds, c.usage.at) for labels, c in of_containers]
    memory = [(labels, c.usage.working_set_bytes, c.usage.at) for labels, c in of_containers]
    starts = [(labels, c.started_at.timestamp() if c.started_at else None, None) for labels, c in of_containers]
    pods = node.pods
    nowhere: dict[str, str] = {}
    lines = (
        *_family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the container in core-seconds",
            _seconds(cpu),
        ),
        *_family(
            "container_memory_working_set_bytes", "gauge", "Current working set of the container in bytes", memory
        ),
        *_family(
            "container_start_time_seconds", "gauge", "Start time of the container since unix epoch in seconds", starts
        ),
        *_family(
            "node_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the node in core-seconds",
            _seconds([(nowhere, node.usage.cpu_nanoseconds, node.usage.at)]),
        ),
        *_family(
            "node_memory_working_set_bytes",
            "gauge",
            "Current working set of the node in bytes",
            [(nowhere, node.usage.working_set_bytes, node.usage.at)],
        ),
        *_family(
            "pod_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed by the pod in core-seconds",
            _seconds([(use.names, use.usage.cpu_nanoseconds, use.usage.at) for use in pods]),
        ),
        *_family(
            "pod_memory_working_set_bytes",
            "gauge",
            "Current working set of the pod in bytes",
            [(use.names, use.usage.working_set_bytes, use.usage.at) for use in pods],
        ),
        *_family(
            "resource_scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
            [(nowhere, 0, None)],
        ),
        *_family(
            "scrape_error",
            "gauge",
            "1 if there was an error while getting container metrics, 0 otherwise",
            [(nowhere, 0, None)],
        ),
    )
    return "\n".join(lines) + "\n"


def kubelet_metrics(node: NodeUse) -> str:
    """`/metrics`: how much this kubelet has to do."""
    containers = sum(len(use.containers) for use in node.pods)
    lines = (
        *_family(
            "kubelet_node_name", "gauge", "The node's name. The count is always 1.", [({"node": node.name}, 1, None)]
        ),
        *_family(
            "kubelet_running_containers",
            "gauge",
            "Number of containers currently running",
            [({"container_state": "running"}, containers, None)],
        ),
        *_family(
            "kubelet_running_pods",
            "gauge",
            "Number of pods that have a running pod sandbox",
            [({}, len(node.pods), None)],
        ),
    )
    return "\n".join(lines) + "\n"


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
        *_family(
            "container_cpu_usage_seconds_total",
            "counter",
            "Cumulative cpu time consumed in seconds.",
            _seconds([({**labels, "cpu": "total"}, usage.cpu_nanoseconds, usage.at) for labels, usage in rows]),
        ),
        *_family(
            "container_memory_usage_bytes",
            "gauge",
            "Current memory usage in bytes, including all memory regardless of when it was accessed",
            [(labels, usage.memory_bytes, usage.at) for labels, usage in rows],
        ),
        *_family(
            "container_memory_working_set_bytes",
            "gauge",
            "Current working set in bytes.",
            [(labels, usage.working_set_bytes, usage.at) for labels, usage in rows],
        ),
        *_family(
            "container_memory_rss",
            "gauge",
            "Size of RSS in bytes.",
            [(labels, usage.rss_bytes, usage.at) for labels, usage in rows],
        ),
        *_family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, node.cpus, None)]),
        *_family("machine_memory_bytes", "gauge", "Amount of memory installed.", [({}, node.capacity_bytes, None)]),
    )
    return "\n".join(lines) + "\n"


def _family(
    name: str, type_: str, help_: str, samples: Sequence[tuple[Mapping[str, str], float | None, datetime | None]]
) -> Iterator[str]:
    known = [(labels, value, at) for labels, value, at in samples if value is not None]
    if not known:
        return
    yield f"# HELP {name} {help_}"
    yield f"# TYPE {name} {type_}"
    for labels, value, at in known:
        inside = ",".join(f'{label}="{_escaped(text)}"' for label, text in sorted(labels.items()))
        stamp = "" if at is None else f" {int(at.timestamp() * 1000)}"
        yield f"{name}{{{inside}}} {value}{stamp}" if inside else f"{name} {value}{stamp}"


def _seconds(
    samples: Sequence[tuple[Mapping[str, str], int | None, datetime | None]],
) -> list[tuple[Mapping[str, str], float | None, datetime | None]]:
    return [(labels, None if value is None else value / 1e9, at) for labels, value, at in samples]


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
