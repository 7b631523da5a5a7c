"""Node life cycle: a node that falls silent is Unknown, and its conditions become taints that keep pods away.

A heartbeat is a renewal of the node's lease, or a fresh status, and counts from when it was seen here: what the node's
clock says does not matter, and a server that restarts gives every node its full grace.
Source: upstream `pkg/controller/nodelifecycle/node_lifecycle_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from pylet.aio.prometheus import Counter, gauges
from pylet.api import timestamps
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, condition_of, conditions_of, dig, is_terminating, is_true, key_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.controllers.node_lifecycle.taints import is_emptied, taints
from pylet.server.controllers.node_lifecycle.zones import Zones, is_ready, name_of, zone_of
from pylet.server.reconcile.plan import NOTHING, Action, Controller, Count, Emit, Patch, Plan, Update, Watch

GRACE = timedelta(seconds=50)
STARTUP_GRACE = timedelta(seconds=60)
_LEASES = "kube-node-lease"
_EVICTIONS = Counter("node_collector_evictions_total", "Nodes that pods were sent away from.", ("zone",))
_SILENT = {"reason": "NodeStatusUnknown", "message": "Kubelet stopped posting node status."}
_NEVER_SPOKE = {"reason": "NodeStatusNeverUpdated", "message": "Kubelet never posted node status."}
_REPORTED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


@dataclass(slots=True)
class _Known:
    """A node as it was last heard: `heartbeat` is what changes with every sign of life."""

    uid: str
    heartbeat: tuple[str, str]
    at: datetime


class _Nodes:
    def __init__(self) -> None:
        self._known: dict[str, _Known] = {}
        self._unready: set[Key] = set()
        self._zones = Zones()
        self._were_all_lost = False

    def plan(self, key: Key, view: View, now: datetime) -> Plan:
        node = view.get(NODE, key)
        if node is None:
            self._unready.discard(key)
            return self._removed(key.name)
        if is_terminating(node):
            return NOTHING
        told = self._hear(node, view, now)
        ready, speaks = is_ready(node), condition_of(node, "Ready") is not None
        (self._unready.discard if ready else self._unready.add)(key)
        left = self._known[key.name].at + (GRACE if speaks else STARTUP_GRACE) - now
        if left <= timedelta() and not _is_silent(node):
            return Plan((*told, _silenced(node, now), *_unready_pods(key.name, view, now)))
        again = left if left > timedelta() else None
        empties, wait = self._may_empty(node, view, now) if speaks and not ready else (True, None)
        wanted = taints(node, now, empties=empties)
        again = min((each for each in (again, wait) if each), default=None)
        if wanted == (dig(node, "spec", "taints", default=[])):
            return Plan(told, again)
        tainted = Update(NODE, {**node, "spec": {**node["spec"], "taints": wanted}})
        if empties and speaks and not ready and not is_emptied(node):
            self._zones.emptied(node, now)
            return Plan((*told, tainted, Count(_EVICTIONS, (name_of(zone_of(node)),))), again)
        return Plan((*told, tainted), again)

    def _hear(self, node: Object, view: View, now: datetime) -> tuple[Action, ...]:
        name, uid = node["metadata"]["name"], uid_of(node)
        lease = view.get(LEASE, Key(_LEASES, name))
        said = (condition_of(node, "Ready") or {}).get("lastHeartbeatTime") or ""
        heartbeat = (dig(lease or {}, "spec", "renewTime", default=""), said)
        known = self._known.get(name)
        if known is not None and known.uid == uid:
            if known.heartbeat != heartbeat:
                known.heartbeat, known.at = heartbeat, now
            return ()
        self._known[name] = _Known(uid, heartbeat, now)
        return (Emit(node, "RegisteredNode", f"Node {name} event: Registered Node {name} in Controller"),)

    def _removed(self, name: str) -> Plan:
        known = self._known.pop(name, None)
        if known is None:
            return NOTHING
        node: Object = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "uid": known.uid}}
        return Plan((Emit(node, "RemovingNode", f"Node {name} event: Removing Node {name} from Controller"),))

    def _may_empty(self, node: Object, view: View, now: datetime) -> tuple[bool, timedelta | None]:
        """Whether pods may be sent away from a node that isn't ready, or how long until that may be asked again."""
        if self._zones.are_all_lost(view):
            self._were_all_lost = True
            return False, None  # the first that is ready again wakes all
        if self._were_all_lost:
            self._were_all_lost = False
            for known in self._known.values():
                known.at = now
        if is_emptied(node):
            return True, None
        wait = self._zones.wait(node, view, now)
        return wait == timedelta(), wait

    def metrics(self, view: View) -> Iterator[str]:
        yield from _EVICTIONS.lines()
        zones = [({"zone": zone}, size, unready) for zone, size, unready in self._zones.sizes(view)]
        healthy = [(zone, 100 * (size - unready) / size) for zone, size, unready in zones]
        yield from gauges("node_collector_zone_health", "Nodes that are ready, in percent.", healthy)
        yield from gauges("node_collector_zone_size", "Nodes.", [(zone, size) for zone, size, _ in zones])
        unhealthy = [(zone, unready) for zone, _, unready in zones]
        yield from gauges("node_collector_unhealthy_nodes_in_zone", "Nodes that are not ready.", unhealthy)

    def time_set(self, moved: timedelta) -> None:
        for known in self._known.values():
            known.at += moved
        self._zones.time_set(moved)

    def of_node(self, entry: Entry, view: View) -> Iterable[Key]:
        """What becomes of one node may let another be emptied, or save it."""
        yield entry.key
        if self._unready and self._zones.concerns_others(entry, view):
            yield from [key for key in self._unready if key != entry.key]


def controller() -> Controller:
    nodes = _Nodes()
    return Controller(
        "node",
        (Watch(NODE, nodes.of_node), Watch(LEASE, _of_lease)),
        nodes.plan,
        time_set=nodes.time_set,
        metrics=nodes.metrics,
    )


def _is_silent(node: Object) -> bool:
    return all((condition_of(node, type_) or {}).get("status") == "Unknown" for type_ in _REPORTED)


def _silenced(node: Object, now: datetime) -> Action:
    stamp = timestamps.format_time(now)
    found = {condition["type"]: condition for condition in conditions_of(node)}
    for type_ in _REPORTED:
        before = found.get(type_)
        if before is None:
            heard = {"lastHeartbeatTime": node["metadata"]["creationTimestamp"], "lastTransitionTime": stamp}
            found[type_] = {"type": type_, "status": "Unknown", **_NEVER_SPOKE, **heard}
        elif before.get("status") != "Unknown":
            found[type_] = {**before, "status": "Unknown", **_SILENT, "lastTransitionTime": stamp}
    told = Emit(node, "NodeNotReady", f"Node {node['metadata']['name']} status is now: NodeNotReady")
    return Patch(NODE, key_of(node), {"status": {"conditions": list(found.values())}}, "status", told)


def _unready_pods(node: str, view: View, now: datetime) -> Iterator[Action]:
    """Pods of a silent node get no traffic."""
    stamp = timestamps.format_time(now)
    for pod in view.with_field(POD, "spec.nodeName", node):
        if not is_true(pod, "Ready"):
            continue
        conditions = [
            {**c, "status": "False", "lastTransitionTime": stamp} if c["type"] == "Ready" else c
            for c in conditions_of(pod)
        ]
        told = Emit(pod, "NodeNotReady", "Node is not ready", "Warning")
        yield Patch(POD, key_of(pod), {"status": {"conditions": conditions}}, "status", told)


def _of_lease(entry: Entry, view: View) -> Iterable[Key]:
    if entry.key.namespace == _LEASES:
        yield Key("", entry.key.name)
