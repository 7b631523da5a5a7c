"""The taints a node should have by its conditions. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pylet.api import timestamps
from pylet.api.object import Object, conditions_of, dig

_PREFIX = "node.kubernetes.io/"
NOT_READY, UNREACHABLE = f"{_PREFIX}not-ready", f"{_PREFIX}unreachable"
_PRESSURES = {
    "MemoryPressure": "memory-pressure",
    "DiskPressure": "disk-pressure",
    "PIDPressure": "pid-pressure",
    "NetworkUnavailable": "network-unavailable",
}
_OURS = frozenset(f"{_PREFIX}{name}" for name in ("not-ready", "unreachable", "unschedulable", *_PRESSURES.values()))


def taints(node: Object, now: datetime, *, empties: bool) -> list[Object]:
    """Those that stay keep their place; `empties`: whether pods that tolerate none may be sent away."""
    wanted = [mark for mark in _wanted(node) if empties or mark[1] != "NoExecute"]
    found = []
    for taint in dig(node, "spec", "taints", default=()):
        mark = (taint["key"], taint["effect"])
        if mark in wanted:
            wanted.remove(mark)
        elif taint["key"] in _OURS:
            continue
        found.append(taint)
    stamp = timestamps.format_time(now)
    return [*found, *({"key": key, "effect": effect, "timeAdded": stamp} for key, effect in wanted)]


def is_emptied(node: Object) -> bool:
    """Whether it has a taint by which pods are sent away already."""
    return any(
        taint["key"] in (NOT_READY, UNREACHABLE) and taint["effect"] == "NoExecute"
        for taint in dig(node, "spec", "taints", default=())
    )


def _wanted(node: Object) -> Iterator[tuple[str, str]]:
    status = {condition["type"]: condition["status"] for condition in conditions_of(node)}
    match status.get("Ready"):
        case "True" | None:
            pass  # of a node that has not spoken yet nothing is known
        case "Unknown":
            yield UNREACHABLE, "NoSchedule"
            yield UNREACHABLE, "NoExecute"
        case _:
            yield NOT_READY, "NoSchedule"
            yield NOT_READY, "NoExecute"
    if node["spec"].get("unschedulable"):
        yield f"{_PREFIX}unschedulable", "NoSchedule"
    for type_, name in _PRESSURES.items():
        if status.get(type_) == "True":
            yield f"{_PREFIX}{name}", "NoSchedule"
