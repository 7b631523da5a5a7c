"""What a pod as a whole asks for and may use, in the words of its status. Pure.

Source: upstream `pkg/kubelet/kubelet_pods.go`, convertToAPIPodLevelResourcesStatus. What its group has is told as it
was asked for: weights of cgroup v2 round it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pylet.agent.kubelet.resources import LEAST_QUOTA_MILLI, LEAST_SHARES, pod_resources, with_overhead
from pylet.api import podresources
from pylet.api.object import Object
from pylet.api.quantity import NANOS, Format, Quantity

_MILLI = NANOS // 1000


def allocated(pod: Object) -> Object:
    """`allocatedResources`."""
    asked, _ = with_overhead(pod)
    return _told(asked)


def resources(pod: Object, *, is_running: bool) -> Object:
    """`resources`: of a pod that runs, what its group has; in requests and limits of its own it counts in any case."""
    asked, most = with_overhead(pod)
    if not is_running:
        return _filled(_told(asked), _told(most))
    own, group = pod["spec"].get("resources") or {}, pod_resources(pod)
    requests, limits = dict(own.get("requests") or {}), dict(own.get("limits") or {})
    if "cpu" in asked and asked["cpu"].nanos > LEAST_SHARES * _MILLI:
        requests["cpu"] = str(Quantity(asked["cpu"].nanos))
    if "memory" in asked:
        requests.setdefault("memory", str(asked["memory"]))
    milli = group.cpu_quota * 1000 // group.cpu_period
    if milli > LEAST_QUOTA_MILLI:
        limits["cpu"] = str(Quantity(milli * _MILLI))
    if group.memory_limit_in_bytes:
        limits["memory"] = str(Quantity(group.memory_limit_in_bytes * NANOS, Format.BINARY_SI))
    return _filled(requests, limits)


def own_part(pod: Object, told: Object) -> Object:
    """Of what was `told`, what the pod has of its own: without its overhead, and what only its containers ask for."""
    own = pod["spec"].get("resources") or {}
    overhead = podresources.amounts(pod["spec"].get("overhead"))
    none = Quantity(0)
    found: Object = {}
    for bound in ("requests", "limits"):
        amounts = podresources.amounts(told.get(bound))
        if kept := {
            name: str(Quantity(amounts[name].nanos - overhead.get(name, none).nanos, amounts[name].format))
            for name in own.get(bound) or ()
            if name in amounts
        }:
            found[bound] = kept
    return found


def _told(amounts: Mapping[str, Quantity]) -> Object:
    return {name: str(amount) for name, amount in amounts.items()}


def _filled(requests: Object, limits: Object) -> Object:
    return {**({"limits": limits} if limits else {}), **({"requests": requests} if requests else {})}
