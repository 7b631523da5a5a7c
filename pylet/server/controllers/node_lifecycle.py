"""Node life cycle: a node that falls silent is Unknown, and its conditions become taints that keep pods away.

A heartbeat is the renewal of the node's lease. Before any was seen, the node's creation and the server's own start
count, so that a restarted server gives every node its full grace.
Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta

from pylet.api import timestamps
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, conditions_of, dig, is_terminating, key_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Emit, Patch, Plan, Update, Watch, itself

GRACE = timedelta(seconds=40)
_LEASES = "kube-node-lease"
_SILENT = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")
_PREFIX = "node.kubernetes.io/"
_PRESSURES = {
    "MemoryPressure": "memory-pressure",
    "DiskPressure": "disk-pressure",
    "PIDPressure": "pid-pressure",
    "NetworkUnavailable": "network-unavailable",
}
_OURS = frozenset(f"{_PREFIX}{name}" for name in ("not-ready", "unreachable", "unschedulable", *_PRESSURES.values()))


def controller(started: datetime) -> Controller:
    """`started` is when the server began to hear heartbeats."""

    def plan(key: Key, view: View, now: datetime) -> Plan:
        node = view.get(NODE, key)
        if node is None or is_terminating(node):
            return NOTHING
        left = _heard(node, view, started) + GRACE - now
        if left <= timedelta() and not _is_silent(node):
            return Plan((_silenced(node, now), *_unready_pods(key.name, view, now)))
        again = left if left > timedelta() else None
        taints = list(_taints(node, now))
        if taints == (dig(node, "spec", "taints", default=[])):
            return Plan(again_after=again)
        spec = {**node["spec"], "taints": taints}
        return Plan((Update(NODE, {**node, "spec": spec}),), again_after=again)

    return Controller("node", (Watch(NODE, itself), Watch(LEASE, _of_lease)), plan)


def _heard(node: Object, view: View, started: datetime) -> datetime:
    """When the node last gave a sign of life."""
    lease = view.get(LEASE, Key(_LEASES, node["metadata"]["name"]))
    known = [started, timestamps.parse(node["metadata"]["creationTimestamp"])]
    if renewed := dig(lease or {}, "spec", "renewTime"):
        known.append(timestamps.parse(renewed))
    return max(known)


def _is_silent(node: Object) -> bool:
    return all((condition_of(node, type_) or {}).get("status") == "Unknown" for type_ in _REPORTED)


def _silenced(node: Object, now: datetime) -> Action:
    stamp = timestamps.format_time(now)
    found = {condition["type"]: condition for condition in conditions_of(node)}
    for type_ in _REPORTED:
        before = found.get(type_, {"lastHeartbeatTime": node["metadata"]["creationTimestamp"]})
        changed = {} if before.get("status") == "Unknown" else {"lastTransitionTime": stamp}
        found[type_] = {**before, "type": type_, "status": "Unknown", **_SILENT, **changed}
    told = Emit(node, "NodeNotReady", f"Node {node['metadata']['name']} status is now: NodeNotReady")
    return Patch(NODE, key_of(node), {"status": {"conditions": list(found.values())}}, "status", told)


def _unready_pods(node: str, view: View, now: datetime) -> Iterator[Action]:
    """Pods of a silent node get no traffic."""
    stamp = timestamps.format_time(now)
    for pod in view.with_field(POD, "spec.nodeName", node):
        if (condition_of(pod, "Ready") or {}).get("status") != "True":
            continue
        conditions = [
            {**c, "status": "False", "lastTransitionTime": stamp} if c["type"] == "Ready" else c
            for c in conditions_of(pod)
        ]
        yield Patch(POD, key_of(pod), {"status": {"conditions": conditions}}, "status")


def _taints(node: Object, now: datetime) -> Iterator[Object]:
    """The taints the node should have, those that stay in their place."""
    wanted = list(_wanted(node))
    for taint in dig(node, "spec", "taints", default=()):
        mark = (taint["key"], taint["effect"])
        if mark in wanted:
            wanted.remove(mark)
        elif taint["key"] in _OURS:
            continue
        yield taint
    for key, effect in wanted:
        yield {"key": key, "effect": effect, "timeAdded": timestamps.format_time(now)}


def _wanted(node: Object) -> Iterator[tuple[str, str]]:
    status = {condition["type"]: condition["status"] for condition in conditions_of(node)}
    match status.get("Ready", "False"):
        case "True":
            pass
        case "Unknown":
            yield f"{_PREFIX}unreachable", "NoSchedule"
            yield f"{_PREFIX}unreachable", "NoExecute"
        case _:
            yield f"{_PREFIX}not-ready", "NoSchedule"
            yield f"{_PREFIX}not-ready", "NoExecute"
    if node["spec"].get("unschedulable"):
        yield f"{_PREFIX}unschedulable", "NoSchedule"
    for type_, name in _PRESSURES.items():
        if status.get(type_) == "True":
            yield f"{_PREFIX}{name}", "NoSchedule"


def _of_lease(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.namespace == _LEASES:
        yield Key("", entry.key.name)
