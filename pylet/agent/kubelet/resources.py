"""What a pod's and a container's requests and limits become in cgroup terms. Pure.

Source: upstream `pkg/kubelet/cm/helpers_linux.go` (ResourceConfigForPod), `pkg/kubelet/kuberuntime/
kuberuntime_container_linux.go` (calculateLinuxResources) and `pkg/kubelet/qos/policy.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pylet.agent.kubelet.eviction import is_critical
from pylet.agent.kubelet.spec import all_containers, app_containers, memory_bytes, milli_cpu, qos_class
from pylet.api import podresources
from pylet.api.containers import is_sidecar
from pylet.api.object import Object, dig
from pylet.api.podtemplate import is_finished
from pylet.api.quantity import NANOS, Quantity
from pylet.api.resources import is_hugepages
from pylet.cri.messages import HugepageLimit, LinuxResources

PERIOD_MICROS = 100_000
LEAST_SHARES, _MOST_SHARES = 2, 262_144
_LEAST_QUOTA_MICROS = 1000
LEAST_QUOTA_MILLI = _LEAST_QUOTA_MICROS * 1000 // PERIOD_MICROS
_GUARANTEED_OOM, _BEST_EFFORT_OOM = -997, 1000
_CRITICAL_PRIORITY = 2_000_001_000
"""From here on a pod is critical to its node."""


def with_overhead(pod: Object) -> tuple[podresources.Amounts, podresources.Amounts]:
    """What the pod as a whole asks for, and what it may use."""
    requests, limits = podresources.requests(pod), podresources.limits(pod)
    overhead = podresources.amounts(pod["spec"].get("overhead"))
    podresources.add(requests, overhead)
    podresources.add(limits, {name: amount for name, amount in overhead.items() if name in limits})
    return requests, limits


def pod_resources(pod: Object, period_micros: int | None = PERIOD_MICROS) -> LinuxResources:
    """Of the pod's own cgroup; a zero is no limit, and no period holds nobody back."""
    requests, limits = with_overhead(pod)
    own = dig(pod, "spec", "resources", "limits", default={})

    def bounded(name: str) -> bool:
        return name in own or all(dig(c, "resources", "limits", name) for c in all_containers(pod))

    cpu = limits["cpu"].nanos // 1_000_000 if "cpu" in limits and bounded("cpu") else 0
    memory = limits["memory"].nanos // 1_000_000_000 if "memory" in limits and bounded("memory") else 0
    asked = requests["cpu"].nanos // 1_000_000 if "cpu" in requests else 0
    return LinuxResources(
        cpu_period=period_micros or PERIOD_MICROS,
        cpu_quota=quota(cpu, period_micros),
        cpu_shares=shares(asked),
        memory_limit_in_bytes=memory,
        hugepage_limits=huge_page_limits(requests, filter(is_hugepages, requests)),
    )


def huge_page_limits(amounts: Mapping[str, Quantity], sizes: Iterable[str]) -> tuple[HugepageLimit, ...]:
    """Of these resources, like `hugepages-2Mi`; none of a size that is not asked for."""
    return tuple(
        HugepageLimit(
            size.removeprefix("hugepages-").replace("i", "B"), amounts[size].nanos // NANOS if size in amounts else 0
        )
        for size in sizes
    )


def unbounded(resources: LinuxResources) -> LinuxResources:
    return replace(resources, cpu_quota=0, memory_limit_in_bytes=0)


def tiers(pods: Iterable[Object], milli_cpus: int, memory: int) -> dict[str, LinuxResources]:
    """Of the groups that hold pods: all ("") what there is for pods, each QoS class CPU shares as those in it ask."""
    asked = 0
    for pod in pods:
        if qos_class(pod) == "Burstable" and not is_finished(pod):
            cpu = podresources.requests(pod).get("cpu")
            asked += cpu.nanos // 1_000_000 if cpu is not None else 0
    return {
        "": LinuxResources(cpu_period=PERIOD_MICROS, cpu_shares=shares(milli_cpus), memory_limit_in_bytes=memory),
        "burstable": LinuxResources(cpu_period=PERIOD_MICROS, cpu_shares=shares(asked)),
        "besteffort": LinuxResources(cpu_period=PERIOD_MICROS, cpu_shares=LEAST_SHARES),
    }


def reserved_nanos(reserved: Iterable[tuple[str, Quantity]], name: str) -> int:
    return sum(amount.nanos for of, amount in reserved if of == name)


def container_resources(
    pod: Object, container: Object, capacity_bytes: int, period_micros: int | None = PERIOD_MICROS
) -> LinuxResources:
    """What it does not limit itself is limited as the whole pod is."""
    limit = milli_cpu(container, "limits") or milli_cpu(pod["spec"], "limits")
    return LinuxResources(
        cpu_period=period_micros or PERIOD_MICROS,
        cpu_quota=quota(limit, period_micros),
        cpu_shares=shares(milli_cpu(container, "requests") or limit),
        memory_limit_in_bytes=memory_bytes(container, "limits") or memory_bytes(pod["spec"], "limits"),
        oom_score_adj=oom_score_adj(pod, container, capacity_bytes),
    )


def swap_limit(pod: Object, container: Object, swap_bytes: int, capacity_bytes: int) -> int:
    """Of a Burstable pod's container: the share of the swap that it asked for of the memory, if it may grow at all."""
    asked = memory_bytes(container, "requests")
    if qos_class(pod) != "Burstable" or is_critical(pod) or asked == memory_bytes(container, "limits"):
        return 0
    return asked * swap_bytes // capacity_bytes if asked <= capacity_bytes else 0


def shares(milli: int) -> int:
    return min(max(LEAST_SHARES, milli * 1024 // 1000), _MOST_SHARES)


def quota(milli: int, period_micros: int | None) -> int:
    """Microseconds a period; 0 is unbounded."""
    return max(_LEAST_QUOTA_MICROS, milli * period_micros // 1000) if milli and period_micros else 0


def oom_score_adj(pod: Object, container: Object, capacity_bytes: int) -> int:
    """Who is killed first when memory runs out: the less a container asked for, the sooner."""
    tier = qos_class(pod)
    if tier == "Guaranteed" or (pod["spec"].get("priority") or 0) >= _CRITICAL_PRIORITY:
        return _GUARANTEED_OOM
    if tier == "BestEffort" or not capacity_bytes:
        return _BEST_EFFORT_OOM
    spare = _spare_bytes(pod)
    score = 1000 - 1000 * (memory_bytes(container, "requests") + spare) // capacity_bytes
    if is_sidecar(container):
        least = min(memory_bytes(other, "requests") for other in app_containers(pod))
        score = min(score, 1000 - 1000 * (least + spare) // capacity_bytes)
    return min(max(score, 1000 + _GUARANTEED_OOM), _BEST_EFFORT_OOM - 1)


def _spare_bytes(pod: Object) -> int:
    """What the pod asked for beyond its containers, shared among them."""
    own = podresources.amounts(dig(pod, "spec", "resources", "requests")).get("memory")
    if own is None:
        return 0
    lasting = [c for c in all_containers(pod) if is_sidecar(c) or c in app_containers(pod)]
    asked = sum(memory_bytes(container, "requests") for container in lasting)
    return max(0, own.nanos // 1_000_000_000 - asked) // len(lasting)
