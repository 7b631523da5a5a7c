"""What the node, its pods and containers use, as `/stats/summary` and the Prometheus endpoints tell it. Pure.

Source: upstream `staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1`, `pkg/kubelet/metrics/collectors/
resource_metrics.go`; the names of `/metrics/cadvisor` are cAdvisor's.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime

from pylet.agent.kubelet.spec import all_containers, memory_bytes, milli_cpu
from pylet.agent.kubelet.usage import Traffic, Usage
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
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

    @property
    def disk_bytes(self) -> int:
        return (self.rootfs_bytes or 0) + (self.logs_bytes or 0)


@dataclass(frozen=True, slots=True)
class PodUse:
    pod: Object
    usage: Usage
    containers: tuple[ContainerUse, ...]
    volumes: Mapping[str, VolumeUsage] = field(default_factory=dict)
    network: tuple[Traffic, ...] = ()
    processes: int | None = None
    files_bytes: int = 0
    """Of the node's own files that its containers may write to: /etc/hosts, their last words."""

    @property
    def local_volumes(self) -> list[VolumeUsage]:
        """Those that live on the node's own disk and end with the pod."""
        return [self.volumes[v["name"]] for v in self.pod["spec"].get("volumes") or () if self._is_local(v)]

    def _is_local(self, volume: Object) -> bool:
        is_disk = "emptyDir" in volume and (volume["emptyDir"] or {}).get("medium", "") == ""
        return volume["name"] in self.volumes and (is_disk or "configMap" in volume)

    @property
    def disk_bytes(self) -> int:
        volumes = sum(volume.used_bytes for volume in self.local_volumes)
        return volumes + self.files_bytes + sum(container.disk_bytes for container in self.containers)

    @property
    def names(self) -> dict[str, str]:
        meta = self.pod["metadata"]
        return {"namespace": meta["namespace"], "pod": meta["name"]}


@dataclass(frozen=True, slots=True)
class NodeUse:
    """File systems are (capacity, available, inodes, free inodes); `capacity_bytes` is the machine's memory.

    `processes` is how many there are and may be; `of_pods` is what all pods use together.
    """

    name: str
    started_at: datetime
    usage: Usage
    cpus: int
    capacity_bytes: int
    filesystem: tuple[int, int, int, int]
    pods: tuple[PodUse, ...]
    images: tuple[int, int, int, int] = (0, 0, 0, 0)
    images_bytes: int = 0
    network: tuple[Traffic, ...] = ()
    processes: tuple[int, int] = (0, 0)
    of_pods: Usage | None = None


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
    images = _filesystem(at, node.images if node.images[0] else node.filesystem)
    found = {
        "node": {
            "nodeName": node.name,
            "startTime": timestamps.format_time(node.started_at),
            **({"systemContainers": [_system(node, node.of_pods, rates)]} if node.of_pods is not None else {}),
            **_use("node", node.usage, rates, node.capacity_bytes),
            **_network(at, node.network),
            "fs": _filesystem(at, node.filesystem),
            "runtime": {
                "imageFs": {**images, "usedBytes": node.images_bytes or images["usedBytes"]},
                "containerFs": images,
            },
            "rlimit": {"time": at, "curproc": node.processes[0], "maxpid": node.processes[1]},
        },
        "pods": [_pod(use, rates, node.filesystem) for use in node.pods],
    }
    ids = (container.id for use in node.pods for container in use.containers)
    rates.keep(("node", "pods", *(use.pod["metadata"]["uid"] for use in node.pods), *ids))
    return found


def cpu_and_memory(whole: Object) -> Object:
    """A summary that was asked for nothing else."""

    def only(found: Object) -> Object:
        return {name: value for name, value in found.items() if name in _CPU_AND_MEMORY} | (
            {"containers": [only(container) for container in found["containers"]]} if "containers" in found else {}
        )

    return {"node": only(whole["node"]), "pods": [only(pod) for pod in whole["pods"]]}


_CPU_AND_MEMORY = ("nodeName", "systemContainers", "startTime", "podRef", "name", "cpu", "memory")


def _system(node: NodeUse, usage: Usage, rates: Rates) -> Object:
    return {
        "name": "pods",
        "startTime": timestamps.format_time(node.started_at),
        **_use("pods", usage, rates, node.capacity_bytes),
    }


def _filesystem(at: str, found: tuple[int, int, int, int]) -> Object:
    size, available, inodes, free = found
    return {
        "time": at,
        "availableBytes": available,
        "capacityBytes": size,
        "usedBytes": size - available,
        "inodesFree": free,
        "inodes": inodes,
        "inodesUsed": inodes - free,
    }


def _network(at: str, interfaces: Sequence[Traffic]) -> Object:
    """The first interface also stands for the whole, as a pod's `eth0`."""
    if not interfaces:
        return {}
    rows = [
        {"name": t.name, "rxBytes": t.rx_bytes, "rxErrors": t.rx_errors, "txBytes": t.tx_bytes, "txErrors": t.tx_errors}
        for t in sorted(interfaces, key=lambda traffic: traffic.name != "eth0")
    ]
    return {"network": {"time": at, **rows[0], "interfaces": rows}}


def _pod(use: PodUse, rates: Rates, filesystem: tuple[int, int, int, int]) -> Object:
    meta = use.pod["metadata"]
    at = timestamps.format_time(use.usage.at)
    claims = {v["name"]: dig(v, "persistentVolumeClaim", "claimName") for v in use.pod["spec"].get("volumes") or ()}
    volumes = [
        {
            "time": at,
            **{_camel(name): value for name, value in asdict(found).items()},
            "name": name,
            **({"pvcRef": {"name": claims[name], "namespace": meta["namespace"]}} if claims.get(name) else {}),
        }
        for name, found in use.volumes.items()
    ]
    whole = _filesystem(at, filesystem)
    inodes = sum(volume.inodes_used for volume in use.local_volumes)
    return {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": dig(use.pod, "status", "startTime"),
        "containers": [_container(container, rates) for container in use.containers],
        **_use(meta["uid"], use.usage, rates),
        **_network(at, use.network),
        **({"volume": volumes} if volumes else {}),
        "ephemeral-storage": {**whole, "usedBytes": use.disk_bytes, "inodesUsed": inodes},
        **({"process_stats": {"process_count": use.processes}} if use.processes is not None else {}),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


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


def probe_metrics(asked: Iterable[tuple[Object, str, str, str, int]]) -> str:
    """`/metrics/probes`, of each pod, container, probe and result."""
    samples: list[tuple[dict[str, str], float, None]] = []
    for pod, container, probe, result, times in asked:
        meta = pod["metadata"]
        labels = {"container": container, "namespace": meta["namespace"], "pod": meta["name"], "pod_uid": meta["uid"]}
        samples.append(({**labels, "probe_type": probe, "result": result}, times, None))
    help_ = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    return "\n".join((*_family("prober_probe_total", "counter", help_, samples), ""))


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
        *_filesystems(node),
        *_traffic(node),
        *_limits(node),
        *_family("machine_cpu_cores", "gauge", "Number of logical CPU cores.", [({}, node.cpus, None)]),
        *_family("machine_memory_bytes", "gauge", "Amount of memory installed.", [({}, node.capacity_bytes, None)]),
    )
    return "\n".join(lines) + "\n"


def _filesystems(node: NodeUse) -> Iterator[str]:
    of_containers = [
        ({"container": c.name, "device": "", "id": f"/{c.id}", "image": c.image, "name": c.id, **use.names}, c)
        for use in node.pods
        for c in use.containers
    ]
    yield from _family(
        "container_fs_usage_bytes",
        "gauge",
        "Number of bytes that are consumed by the container on this filesystem.",
        [(labels, c.rootfs_bytes, c.usage.at) for labels, c in of_containers],
    )
    yield from _family(
        "container_start_time_seconds",
        "gauge",
        "Start time of the container since unix epoch in seconds.",
        [
            ({**labels, "device": ""}, c.started_at.timestamp() if c.started_at else None, None)
            for labels, c in of_containers
        ],
    )
    yield from _family(
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
        yield from _family(f"container_network_{name}_total", "counter", help_, samples)


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
        yield from _family(f"container_spec_{name}", "gauge", help_, [(labels, v, None) for labels, v in samples])


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
