"""In-place resize: what a pod may have by now, what its containers really have, and how one becomes the other. Pure.

A pod's spec says what is wanted. What the node has granted is its allocation, by container name; what the runtime was
told is enforced, by container id. A wish that the node cannot grant yet, or never, is a condition of the pod.
Source: upstream `pkg/kubelet/allocation/allocation_manager.go` and computePodResizeAction in `pkg/kubelet/kuberuntime`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeAlias

from pylet.agent.kubelet import whole
from pylet.agent.kubelet.spec import qos_class
from pylet.api import podresources
from pylet.api.object import Object, dig
from pylet.api.quantity import parse

Allocation: TypeAlias = Mapping[str, Object]
"""Container name → resources; the pod's own are under ""."""

_RESIZABLE = ("cpu", "memory")
_NONE: Object = {}


def wanted(pod: Object) -> Allocation:
    spec = pod["spec"]
    containers = (*(spec.get("initContainers") or ()), *spec["containers"])
    return {c["name"]: c.get("resources") or _NONE for c in containers} | {"": spec.get("resources") or _NONE}


def granted_before(pod: Object) -> Allocation:
    """What was granted when pylet last looked after this pod, as its status tells."""
    allocation = dict(wanted(pod))
    status = pod.get("status") or {}
    for entry in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        if entry["name"] in allocation and entry.get("resources") is not None:
            allocation[entry["name"]] = _granted(entry)
    if status.get("resources") is not None:
        allocation[""] = whole.own_part(pod, _granted(status))
    return allocation


def _granted(status: Object) -> Object:
    resources: Object = dict(status.get("resources") or {})
    if requests := status.get("allocatedResources"):
        resources["requests"] = requests
    return resources


def with_allocation(pod: Object, allocation: Allocation) -> Object:
    """The pod as the node runs it: with what it was granted."""
    if all(_same(resources, allocation.get(name, resources)) for name, resources in wanted(pod).items()):
        return pod
    spec = dict(pod["spec"])
    for field in ("initContainers", "containers"):
        if field in spec:
            spec[field] = [{**c, "resources": allocation.get(c["name"], c.get("resources"))} for c in spec[field] or ()]
    if allocation.get(""):
        spec["resources"] = allocation[""]
    return {**pod, "spec": spec}


def refusal(pod: Object, node: Object, others: Iterable[Object]) -> tuple[str, str] | None:
    """Why the node cannot grant what the pod wants: Infeasible or Deferred, and the words; None if it can."""
    asks = podresources.requests(pod)
    podresources.add(asks, podresources.amounts(pod["spec"].get("overhead")))
    room = podresources.amounts(dig(node, "status", "allocatable"))
    used: podresources.Amounts = {}
    for other in others:
        podresources.add(used, podresources.requests(other, is_live=True))
    for name, scale in (("cpu", 1_000_000), ("memory", 1_000_000_000)):
        if name not in asks or name not in room:
            continue
        requested, capacity = asks[name].nanos // scale, room[name].nanos // scale
        taken = used[name].nanos // scale if name in used else 0
        if requested > capacity:
            words = f"Node didn't have enough capacity: {name}, requested: {requested}, capacity: {capacity}"
            return "Infeasible", words
        if requested + taken > capacity:
            words = f"Node didn't have enough resource: {name}, requested: {requested}, used: {taken}"
            return "Deferred", f"{words}, capacity: {capacity}"
    return None


def immovable(pod: Object, allocation: Allocation, policies: Mapping[str, str]) -> tuple[str, str] | None:
    """Why a Guaranteed pod keeps what it has where `policies`, by resource, gave it that alone."""
    if not policies or qos_class(pod) != "Guaranteed":
        return None
    for name, policy in policies.items():
        asked = ((resources, allocation.get(of, _NONE)) for of, resources in wanted(pod).items() if of)
        if any(_amount(new, "requests", name) != _amount(old, "requests", name) for new, old in asked):
            return "Infeasible", f"Resize is infeasible for Guaranteed Pods alongside {policy}"
    return None


def differing(before: Object, after: Object) -> list[str]:
    """Which of cpu and memory differ, in requests or limits."""
    return [
        name
        for name in _RESIZABLE
        if any(_amount(before, bound, name) != _amount(after, bound, name) for bound in ("requests", "limits"))
    ]


def effective(resources: Object, of_pod: Object) -> Object:
    """A container's, with the pod's limits where it has none of its own."""
    return {**resources, "limits": (of_pod.get("limits") or _NONE) | (resources.get("limits") or _NONE)}


def restarted(pod: Object, before: Allocation) -> frozenset[str]:
    """Names of the containers that begin anew to have what the pod wants, after what they had before."""
    after = wanted(pod)

    def changed(name: str) -> list[str]:
        had, has = (effective(of.get(name, _NONE), of.get("", _NONE)) for of in (before, after))
        return differing(had, has)

    lasting = (*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"])
    return frozenset(c["name"] for c in lasting if needs_restart(c, changed(c["name"])))


def needs_restart(container: Object, resources: list[str]) -> bool:
    policies = {policy["resourceName"]: policy["restartPolicy"] for policy in container.get("resizePolicy") or ()}
    return any(policies.get(name) == "RestartContainer" for name in resources)


def _same(before: Object, after: Object) -> bool:
    return before is after or not differing(before, after)


def _amount(resources: Object, bound: str, name: str) -> int | None:
    found = dig(resources, bound, name)
    return None if found is None else parse(str(found)).nanos
