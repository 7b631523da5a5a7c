"""Nodes and pods to decide about, and one call from them to a decision."""

from __future__ import annotations

from typing import Any

from pylet.api import kinds
from pylet.api.object import Object
from pylet.client.view import Entry, Table, View
from pylet.server.scheduler.decide import Placement, Profile, Unschedulable, decide
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.snapshot import Snapshot

ZONE, HOST = "topology.kubernetes.io/zone", "kubernetes.io/hostname"


def node(
    name: str, *, cpu: str = "4", pods: str = "110", labels: Any = None, status: Any = None, **spec: Any
) -> Object:
    room = {"cpu": cpu, "memory": "8Gi", "pods": pods, "ephemeral-storage": "10Gi"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {HOST: name, **(labels or {})}},
        "spec": spec,
        "status": {"allocatable": room} | (status or {}),
    }


def pod_object(
    name: str = "p",
    *,
    cpu: str = "1",
    labels: Any = None,
    namespace: str = "default",
    container: Any = None,
    status: Any = None,
    owner: Object | None = None,
    **spec: Any,
) -> Object:
    asked: Object = {"name": "c", "resources": {"requests": {"cpu": cpu}}, **(container or {})}
    meta = {"name": name, "namespace": namespace, "uid": f"uid-{name}", "labels": labels or {}}
    if owner is not None:
        named = {name: owner[name] for name in ("apiVersion", "kind")} | {"name": owner["metadata"]["name"], "uid": "o"}
        meta["ownerReferences"] = [{**named, "controller": True}]
    found = {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [asked], **spec}}
    return found | ({"status": status} if status else {})


def pod(name: str = "p", **asked: Any) -> Pending:
    return Pending(pod_object(name, **asked))


def view_of(*objects: Object) -> View:
    tables: dict[Any, Table] = {}
    for number, obj in enumerate(objects, 1):
        group, _, version = obj["apiVersion"].rpartition("/")
        kind = kinds.by_kind(group, version, obj["kind"])
        assert kind is not None
        obj["metadata"].setdefault("uid", f"uid-{obj['metadata']['name']}")
        obj["metadata"]["resourceVersion"] = str(number)
        tables.setdefault(kind, Table(kind)).put(Entry.of(kind, obj))
    return View(tables)


def snapshot_of(
    nodes: list[Object], running: dict[str, list[Pending]] | None = None, objects: list[Object] | None = None
) -> Snapshot:
    snapshot = Snapshot(view_of(*(objects or ())))
    for each in nodes:
        snapshot.put_node(each)
    for name, pods in (running or {}).items():
        for each_pod in pods:
            snapshot.put_pod(each_pod, name)
    return snapshot


def placed(
    wanted: Pending,
    *nodes: Object,
    running: dict[str, list[Pending]] | None = None,
    objects: list[Object] | None = None,
    profile: Profile = PROFILE,
) -> str:
    """The node's name, or the words of the refusal."""
    match decide(wanted, snapshot_of(list(nodes), running, objects), profile):
        case Placement(name):
            return name
        case Unschedulable() as refused:
            return refused.message
