"""Tell the API a pod's status: one strategic patch of what changed, the kubelet's own conditions merged by type. Pure.

Source: upstream `pkg/util/pod/pod.go` (PatchPodStatus) and `pkg/kubelet/types/pod_status.go`.
"""

from __future__ import annotations

from typing import Any

from pylet.api.object import Object, uid_of

OWN_CONDITIONS = (
    "PodResizePending",
    "PodResizeInProgress",
    "PodReadyToStartContainers",
    "Initialized",
    "Ready",
    "ContainersReady",
    "PodScheduled",
    "AllContainersRestarting",
)
_MERGED_BY_IP = ("podIPs", "hostIPs")
_MERGED = ("resources", "allocatedResources")
_NOT_OURS = ("resourceClaimStatuses", "extendedResourceClaimStatus", "nominatedNodeName")


def status_patch(pod: Object, status: Object) -> Object | None:
    """What makes the pod's status in the API `status`; None where it is so already."""
    old = pod.get("status") or {}
    patch: Object = {}
    for name in {**old, **status}:
        if name in _NOT_OURS or _same(old.get(name), status.get(name)):
            continue
        if name == "conditions":
            patch |= _conditions(old.get(name) or [], status[name])
        elif name in _MERGED_BY_IP:
            patch[name] = _addresses(old.get(name) or [], status.get(name) or [])
        elif name in _MERGED:
            patch[name] = _emptied(old.get(name), status.get(name))
        else:
            patch[name] = status.get(name)
    return {"metadata": {"uid": uid_of(pod)}, "status": patch} if patch else None


def _conditions(old: list[Object], new: list[Object]) -> Object:
    before = {condition["type"]: condition for condition in old}
    after = {condition["type"]: condition for condition in new}
    changed = [condition for type_, condition in after.items() if not _same(before.get(type_), condition)]
    gone = [{"$patch": "delete", "type": type_} for type_ in before if type_ in OWN_CONDITIONS and type_ not in after]
    if not changed and not gone:
        return {}
    order = [{"type": type_} for type_ in after]
    return {"$setElementOrder/conditions": order, "conditions": [*map(_cleared(before), changed), *gone]}


def _cleared(before: dict[str, Object]) -> Any:
    """A merged condition keeps what the patch does not name: reasons that hold no more are named null."""

    def clear(condition: Object) -> Object:
        stale = [name for name in ("reason", "message") if name in before.get(condition["type"], {})]
        return {**dict.fromkeys(stale), **condition}

    return clear


def _emptied(old: Any, new: Any) -> Any:
    """A merged object keeps what the patch does not name: what it has no more is named null."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return new
    return {name: _emptied(old.get(name), new.get(name)) for name in {**old, **new}}


def _addresses(old: list[Object], new: list[Object]) -> list[Object]:
    return [*new, *({"$patch": "delete", "ip": entry["ip"]} for entry in old if entry not in new)]


def _same(old: object, new: object) -> bool:
    """Nulls, empty and absent fields say the same."""
    return old == new or _without_empty(old) == _without_empty(new)


def _without_empty(value: object) -> object:
    if isinstance(value, dict):
        kept = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in kept.items() if item not in (None, {}, [], "", 0, False)}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return None if value in ({}, [], "", 0, False) else value
