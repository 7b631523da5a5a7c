"""Which changes may help a pod that was refused: what all look at first, and what plugins ask. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig, labels_of
from pylet.server.scheduler.decide import Change
from pylet.server.scheduler.model import Pending, PodInfo


def asks(pod: Object) -> Object:
    """What of a pod decides where it may go."""
    return {**pod["spec"], "labels": labels_of(pod), "made": dig(pod, "status", "resourceClaimStatuses")}


def offers(node: Object) -> Object:
    """What of a node decides whom it may take."""
    status = node.get("status") or {}
    return {
        "labels": labels_of(node),
        "spec": node.get("spec"),
        "allocatable": status.get("allocatable"),
        "features": status.get("declaredFeatures"),
    }


def event_of(change: Change) -> str:
    """What upstream calls it (framework.ClusterEvent.Label): of what changed, the first that it looks at."""
    obj = change.after or change.before or {}
    if change.before is None or change.after is None:
        action = "Delete" if change.after is None else "Add"
    else:
        of_kind = _NODE_PARTS if change.kind is NODE else _POD_PARTS if change.kind is POD else {}
        parts = (action for action, part in of_kind.items() if part(change.before) != part(change.after))
        action = next(parts, "Update")
    if change.kind is POD:
        return f"{'AssignedPod' if holds_node(obj) else 'UnschedulablePod'}{action}"
    group = f"{change.kind.group}/" if change.kind.group else ""
    return f"{group}{change.kind.name}{action}"


_NODE_PARTS: Mapping[str, Callable[[Object], object]] = {
    "UpdateNodeAllocatable": lambda node: dig(node, "status", "allocatable"),
    "UpdateNodeLabel": labels_of,
    "UpdateNodeTaint": lambda node: [node["spec"].get(name) for name in ("taints", "unschedulable")],
    "UpdateNodeDeclaredFeature": lambda node: dig(node, "status", "declaredFeatures"),
}
_POD_PARTS: Mapping[str, Callable[[Object], object]] = {
    "UpdatePodLabel": labels_of,
    "UpdatePodScaleDown": lambda pod: PodInfo(pod).requests,
    "UpdatePodSchedulingGatesEliminated": lambda pod: bool(pod["spec"].get("schedulingGates")),
    "UpdatePodToleration": lambda pod: len(pod["spec"].get("tolerations") or ()),
    "UpdatePodGeneratedResourceClaim": lambda pod: dig(pod, "status", "resourceClaimStatuses"),
}


def became(change: Change, is_so: Callable[[Object], bool]) -> bool:
    """Whether something is so now that was not so before, or was not there."""
    if change.after is None or not is_so(change.after):
        return False
    return change.before is None or not is_so(change.before)


def is_node(change: Change) -> bool:
    return change.kind is NODE


def is_of(change: Change, pod: Pending) -> bool:
    """Whether it is the pod itself that changed."""
    return change.kind is POD and change.after is not None and change.after["metadata"]["uid"] == pod.uid


def left(change: Change) -> Object | None:
    """The pod that had a node, or one coming to it, and is gone."""
    if change.kind is not POD or change.after is not None or change.before is None:
        return None
    return change.before if holds_node(change.before) else None


def holds_node(pod: Object) -> bool:
    return bool(pod["spec"].get("nodeName") or dig(pod, "status", "nominatedNodeName"))


def tolerates_otherwise(change: Change, pod: Pending) -> bool:
    """Whether the pod itself has other tolerations now."""
    if not is_of(change, pod) or change.before is None or change.after is None:
        return False
    before, after = (obj["spec"].get("tolerations") or [] for obj in (change.before, change.after))
    return bool(before != after)


def label(obj: Object | None, key: str) -> str | None:
    return None if obj is None else labels_of(obj).get(key)
