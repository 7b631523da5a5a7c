"""`/stats/summary`: what the node, its pods and containers use, as JSON. Pure.

Source: upstream `staging/src/k8s.io/kubelet/pkg/apis/stats/v1alpha1`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field

from pylet.agent.kubelet.resources import pod_resources
from pylet.agent.kubelet.spec import find_container, memory_bytes
from pylet.agent.kubelet.stats import ContainerUse, Filesystem, NodeUse, PodUse
from pylet.agent.kubelet.usage import Traffic, Usage
from pylet.agent.kubelet.volumes.claims import claim_name
from pylet.api import timestamps
from pylet.api.object import Object, dig


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


def summary(node: NodeUse, rates: Rates) -> Object:
    at = timestamps.format_time(node.usage.at)
    images = _filesystem(at, node.images if node.images[0] else node.filesystem)
    found = {
        "node": {
            "nodeName": node.name,
            "startTime": timestamps.format_time(node.started_at),
            **({"systemContainers": systems} if (systems := _systems(node, rates)) else {}),
            **_use("node", node.usage, rates, node.capacity_bytes),
            **_network(at, node.network),
            "fs": _filesystem(at, node.filesystem),
            "runtime": {
                "imageFs": {**images, "usedBytes": node.images_bytes or images["usedBytes"]},
                "containerFs": images,
            },
            "rlimit": {"time": at, "curproc": node.processes[0], "maxpid": node.processes[1]},
        },
        "pods": [_pod(use, rates, node.filesystem, node.images) for use in node.pods],
    }
    ids = (container.id for use in node.pods for container in use.containers)
    rates.keep(("node", "kubelet", "pods", *(use.pod["metadata"]["uid"] for use in node.pods), *ids))
    return found


def cpu_and_memory(whole: Object) -> Object:
    """A summary that was asked for nothing else."""

    def only(found: Object) -> Object:
        return {name: value for name, value in found.items() if name in _CPU_AND_MEMORY} | (
            {"containers": [only(container) for container in found["containers"]]} if "containers" in found else {}
        )

    return {"node": only(whole["node"]), "pods": [only(pod) for pod in whole["pods"]]}


_CPU_AND_MEMORY = ("nodeName", "systemContainers", "startTime", "podRef", "name", "cpu", "memory")


def _systems(node: NodeUse, rates: Rates) -> list[Object]:
    """Upstream tells of the runtime only where a flag names its group."""
    of_pods = (node.started_at, node.of_pods) if node.of_pods is not None else None
    return [
        {"name": name, "startTime": timestamps.format_time(found[0]), **_use(name, found[1], rates, capacity_bytes)}
        for name, found, capacity_bytes in (("kubelet", node.of_kubelet, None), ("pods", of_pods, node.capacity_bytes))
        if found is not None
    ]


def _filesystem(at: str, found: Filesystem) -> Object:
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


def _pod(use: PodUse, rates: Rates, filesystem: Filesystem, images: Filesystem) -> Object:
    meta = use.pod["metadata"]
    at = timestamps.format_time(use.usage.at)
    claims = {volume["name"]: claim_name(use.pod, volume) for volume in use.pod["spec"].get("volumes") or ()}
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
    disks = _filesystem(at, images if images[0] else filesystem), whole
    return {
        "podRef": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"]},
        "startTime": dig(use.pod, "status", "startTime"),
        "containers": [_container(each, use.pod, disks, rates) for each in use.containers],
        **_use(meta["uid"], use.usage, rates, pod_resources(use.pod).memory_limit_in_bytes or None),
        **_network(at, use.network),
        **({"volume": volumes} if volumes else {}),
        "ephemeral-storage": {**whole, "usedBytes": use.disk_bytes, "inodesUsed": use.inodes},
        **({"process_stats": {"process_count": use.processes}} if use.processes is not None else {}),
    }


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _container(use: ContainerUse, pod: Object, disks: tuple[Object, Object], rates: Rates) -> Object:
    """`disks` are those of its layer and of its logs."""
    at = timestamps.format_time(use.usage.at)
    limits = (memory_bytes(spec, "limits") for spec in (find_container(pod, use.name) or {}, pod["spec"]))
    limit = next(filter(None, limits), None)
    found: Object = {"name": use.name, **_use(use.id, use.usage, rates, limit)}
    if use.started_at is not None:
        found["startTime"] = timestamps.format_time(use.started_at)
    for name, disk, used, inodes in (
        ("rootfs", disks[0], use.rootfs_bytes, use.rootfs_inodes),
        ("logs", disks[1], use.logs_bytes, use.logs_inodes),
    ):
        if used is not None:
            found[name] = {**disk, "time": at, "usedBytes": used, "inodesUsed": inodes}
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
    swap = {"swapUsageBytes": usage.swap_bytes}
    if usage.swap_bytes is not None and usage.swap_limit_bytes is not None:
        swap["swapAvailableBytes"] = max(0, usage.swap_limit_bytes - usage.swap_bytes)
    told: tuple[tuple[str, Object], ...] = (("cpu", cpu), ("memory", memory), ("swap", swap), ("io", {}))
    found = {
        name: {key: value for key, value in (*values.items(), ("psi", usage.pressure.get(name))) if value is not None}
        for name, values in told
    }
    return {name: {"time": at, **values} for name, values in found.items() if values or name not in ("io", "swap")}
