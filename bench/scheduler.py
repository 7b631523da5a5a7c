"""Decisions of the scheduler alone, a second of CPU: `python bench/scheduler.py [NODES] [DECISIONS]`, 500 and 1,000.

Hollow nodes and pods straight in the snapshot: reading a pod, deciding, and counting it on its node. Ten pods run on
each node already; every workload is one of a Deployment's pods, whose ReplicaSet and Service are there too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

from pylet.api import kinds
from pylet.api.object import Object
from pylet.client.view import Entry, Table, View
from pylet.server.scheduler.decide import Placement, decide
from pylet.server.scheduler.model import Pending, PodInfo
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.snapshot import Snapshot

HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"
_SELECTOR = {"matchLabels": {"app": "bench"}}


def node(number: int) -> Object:
    labels = {HOST: f"node-{number}", ZONE: f"zone-{number % 3}"}
    room = {"cpu": "32", "memory": "64Gi", "pods": "110"}
    return {"metadata": {"name": f"node-{number}", "labels": labels}, "spec": {}, "status": {"allocatable": room}}


def pod(name: str, app: str, **spec: Any) -> Object:
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"uid-{app}", "controller": True}
    meta = {
        "name": name,
        "namespace": "default",
        "uid": f"uid-{name}",
        "labels": {"app": app},
        "ownerReferences": [owner],
    }
    requests = {"cpu": "100m", "memory": "100Mi"}
    container = {"name": "c", "image": "registry.example/app:1", "resources": {"requests": requests}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container], **spec}}


def _term(key: str) -> Object:
    return {"labelSelector": _SELECTOR, "topologyKey": key}


def _spread(key: str, when: str) -> Object:
    return {"maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": when, "labelSelector": _SELECTOR}


_REQUIRED, _PREFERRED = (
    "requiredDuringSchedulingIgnoredDuringExecution",
    "preferredDuringSchedulingIgnoredDuringExecution",
)
WORKLOADS: dict[str, Object] = {
    "basic": {},
    "node affinity": {
        "affinity": {
            "nodeAffinity": {
                _REQUIRED: {
                    "nodeSelectorTerms": [
                        {"matchExpressions": [{"key": ZONE, "operator": "In", "values": ["zone-0", "zone-1"]}]}
                    ]
                }
            }
        }
    },
    "pod affinity, zone": {"affinity": {"podAffinity": {_REQUIRED: [_term(ZONE)]}}},
    "pod anti-affinity, host": {"affinity": {"podAntiAffinity": {_REQUIRED: [_term(HOST)]}}},
    "preferred anti-affinity, host": {
        "affinity": {"podAntiAffinity": {_PREFERRED: [{"weight": 1, "podAffinityTerm": _term(HOST)}]}}
    },
    "spread, zone and host": {
        "topologySpreadConstraints": [_spread(ZONE, "DoNotSchedule"), _spread(HOST, "DoNotSchedule")]
    },
    "soft spread, host": {"topologySpreadConstraints": [_spread(HOST, "ScheduleAnyway")]},
}


def cluster(nodes: int) -> Snapshot:
    tables: dict[Any, Table] = {}
    for kind, name, spec in (
        (kinds.by_kind("apps", "v1", "ReplicaSet"), "bench", {"selector": _SELECTOR}),
        (kinds.by_kind("", "v1", "Service"), "bench", {"selector": {"app": "bench"}}),
    ):
        assert kind is not None
        table = tables[kind] = Table(kind)
        table.put(Entry.of(kind, {"metadata": {"namespace": "default", "name": name, "uid": name}, "spec": spec}))
    snapshot = Snapshot(View(tables))
    for number in range(nodes):
        snapshot.put_node(node(number))
        for other in range(10):
            snapshot.put_pod(PodInfo(pod(f"other-{number}-{other}", f"other-{other}")), f"node-{number}")
    return snapshot


def decisions(snapshot: Snapshot, count: int, make: Callable[[int], Object]) -> float:
    """Decisions a second of CPU; every pod stays where it was put."""
    objects = [make(number) for number in range(count)]
    start = placed = 0
    began = time.process_time()
    for turn, each in enumerate(objects):
        pending = Pending(each)
        found = decide(pending, snapshot, PROFILE, start, turn)
        if isinstance(found, Placement):
            start += found.examined
            placed += 1
            snapshot.put_pod(pending, found.node)
    seconds = time.process_time() - began
    if placed < min(count, len(snapshot.nodes)):
        raise SystemExit(f"only {placed} of {count} found a place")
    return count / seconds


def main() -> None:
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    count = int(sys.argv[2]) if len(sys.argv) > 2 else 1000
    for name, spec in WORKLOADS.items():
        snapshot = cluster(nodes)
        rate = decisions(snapshot, min(count, nodes) if "anti-affinity, host" in name else count, _maker(spec))
        print(f"{name:32} {rate:10,.0f}/s")
    snapshot = cluster(nodes)
    print(f"{'each of another shape':32} {decisions(snapshot, min(count, 300), _other_shape):10,.0f}/s")


def _maker(spec: Object) -> Callable[[int], Object]:
    return lambda number: pod(f"bench-{number}", "bench", **spec)


def _other_shape(number: int) -> Object:
    found = pod(f"bench-{number}", "bench")
    found["spec"]["containers"][0]["resources"]["requests"]["cpu"] = f"{100 + number}m"
    return found


if __name__ == "__main__":
    main()
