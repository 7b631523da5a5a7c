"""`/metrics` and `/metrics/probes`: what this kubelet has to do, and did. Pure.

Source: upstream `pkg/kubelet/metrics/metrics.go`, `pkg/kubelet/metrics/collectors/volume_stats.go`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.manifests import is_static
from pylet.agent.kubelet.spec import ephemeral_containers
from pylet.agent.kubelet.stats import NodeUse
from pylet.agent.kubelet.volumes.usage import Usage
from pylet.aio.prometheus import counts, gauge, gauges
from pylet.api.object import Object, conditions_of
from pylet.api.podtemplate import is_finished
from pylet.version import BUILD


@dataclass(frozen=True, slots=True)
class Doing:
    """What this kubelet has to do at the moment.

    `pods` are all that are bound to the node; `claims` is how full each claim's volume is, by namespace and name;
    `lifetimes` is how many seconds the "client" and the "server" certificate are good for.
    """

    pods: Sequence[Object]
    workers: int
    cgroup_version: int
    claims: Mapping[tuple[str, str], Usage] = field(default_factory=dict)
    lifetimes: Mapping[str, float] = field(default_factory=dict)
    relisted_at: float = 0.0
    own_cpus: Mapping[int, int] | None = None
    """How many CPUs of each NUMA node containers have to themselves, where they can."""
    shared_cpus: int = 0
    devices_claimed: Mapping[str, int] = field(default_factory=dict)
    """How many ResourceClaims are in use, by driver; "<any>" is all."""
    volumes: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """How many, by plugin and state."""
    requests: Mapping[tuple[str, ...], int] = field(default_factory=dict)
    """Those under way, as they are counted."""


def probe_metrics(asked: Iterable[tuple[Object, str, str, str, int]]) -> str:
    """`/metrics/probes`, of each pod, container, probe and result."""
    found: list[tuple[dict[str, str], int]] = []
    for pod, container, probe, result, times in asked:
        meta = pod["metadata"]
        labels = {"container": container, "namespace": meta["namespace"], "pod": meta["name"], "pod_uid": meta["uid"]}
        found.append(({**labels, "probe_type": probe, "result": result}, times))
    help_ = "Cumulative number of a liveness, readiness or startup probe for a container by result."
    return "\n".join((*counts("prober_probe_total", help_, found), ""))


def kubelet_metrics(node: NodeUse, doing: Doing) -> str:
    """`/metrics`: how much this kubelet has to do."""
    lines = (
        *gauge("kubelet_node_name", "The node's name. The count is always 1.", {"node": node.name}, 1),
        *_running(node, doing),
        *gauge("kubelet_cgroup_version", "cgroup version on the hosts.", {}, doing.cgroup_version),
        *gauge("kubelet_pleg_last_seen_seconds", "When containers were last listed.", {}, doing.relisted_at),
        *_certificates(doing.lifetimes),
        *_placement(doing),
        *gauges(
            "dra_resource_claims_in_use",
            "ResourceClaims in use, by driver.",
            [({"driver_name": name}, number) for name, number in doing.devices_claimed.items()],
        ),
        *_volumes(doing.claims),
        *gauges(
            "volume_manager_total_volumes",
            "Number of volumes in Volume Manager",
            [({"plugin_name": plugin, "state": state}, number) for (plugin, state), number in doing.volumes.items()],
        ),
        *gauges(
            "kubelet_http_inflight_requests",
            "Requests under way.",
            [(dict(zip(counters.HTTP, of, strict=True)), number) for of, number in doing.requests.items()],
        ),
        *counters.lines(),
        *gauge("kubernetes_build_info", "The version.", BUILD, 1),
    )
    return "\n".join(lines) + "\n"


def _running(node: NodeUse, doing: Doing) -> Iterator[str]:
    containers = sum(len(use.containers) for use in node.pods)
    ephemeral = sum(len(ephemeral_containers(pod)) for pod in doing.pods)
    active = [pod for pod in doing.pods if not is_finished(pod)]
    yield from gauge("kubelet_running_pods", "Number of pods that have a running pod sandbox", {}, len(node.pods))
    yield from gauge("kubelet_running_containers", "Containers by state.", {"container_state": "running"}, containers)
    yield from _pods("kubelet_desired_pods", "Pods bound to this node.", doing.pods)
    yield from _pods("kubelet_active_pods", "Those that hold something of it.", active)
    yield from gauge("kubelet_mirror_pods", "Pods that a file says.", {}, sum(map(is_static, doing.pods)))
    at_work = {"config": "desired", "lifecycle": "sync", "static": ""}
    yield from gauge("kubelet_working_pods", "Pods that are worked on.", at_work, doing.workers)
    yield from gauge("kubelet_managed_ephemeral_containers", "Ephemeral containers in pods.", {}, ephemeral)
    yield from _resizes(active)


def _resizes(active: Sequence[Object]) -> Iterator[str]:
    waiting = Counter(c.get("reason", "").lower() for pod in active for c in _of_type(pod, "PodResizePending"))
    by_reason = [({"reason": reason}, number) for reason, number in waiting.items()]
    under_way = sum(bool(_of_type(pod, "PodResizeInProgress")) for pod in active)
    yield from gauges("kubelet_pod_pending_resizes", "Resizes that wait.", by_reason)
    yield from gauge("kubelet_pod_in_progress_resizes", "Resizes under way.", {}, under_way)


def _certificates(lifetimes: Mapping[str, float]) -> Iterator[str]:
    for whose, seconds in lifetimes.items():
        name = f"kubelet_certificate_manager_{whose}_ttl_seconds"
        yield from gauge(name, "Until the certificate expires.", {}, int(seconds))


def _pods(name: str, help_: str, pods: Iterable[Object]) -> Iterator[str]:
    found = Counter(is_static(pod) for pod in pods)
    return gauges(name, help_, (({"static": str(is_).lower()}, found[is_]) for is_ in (False, True)))


def _of_type(pod: Object, type_: str) -> list[Object]:
    return [condition for condition in conditions_of(pod) if condition.get("type") == type_]


def _placement(doing: Doing) -> Iterator[str]:
    if doing.own_cpus is None:
        return
    own = sum(doing.own_cpus.values())
    yield from gauge("kubelet_cpu_manager_exclusive_cpu_allocation_count", "CPUs that somebody has alone.", {}, own)
    yield from gauge("kubelet_cpu_manager_shared_pool_size_millicores", "Of all others.", {}, doing.shared_cpus * 1000)
    per_node = [({"numa_node": str(node)}, number) for node, number in doing.own_cpus.items()]
    yield from gauges("kubelet_cpu_manager_allocation_per_numa", "CPUs that somebody has alone.", per_node)


_OF_VOLUMES = (
    ("capacity_bytes", "Capacity in bytes of the volume"),
    ("available_bytes", "Number of available bytes in the volume"),
    ("used_bytes", "Number of used bytes in the volume"),
    ("inodes", "Maximum number of inodes in the volume"),
    ("inodes_free", "Number of free inodes in the volume"),
    ("inodes_used", "Number of used inodes in the volume"),
)


def _volumes(claims: Mapping[tuple[str, str], Usage]) -> Iterator[str]:
    for name, help_ in _OF_VOLUMES:
        values = [
            ({"namespace": namespace, "persistentvolumeclaim": claim}, getattr(usage, name))
            for (namespace, claim), usage in claims.items()
        ]
        yield from gauges(f"kubelet_volume_stats_{name}", help_, values)
