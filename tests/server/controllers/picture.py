"""Pictures of a cluster for table tests: a View over given objects, and objects in few words."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from pylet.api import kinds
from pylet.api.object import Object
from pylet.client.view import Entry, Table, View
from pylet.server.registry.registry import is_stored

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
EARLIER = "2026-01-01T11:00:00Z"
STORED = [kind for kind in kinds.all_kinds() if is_stored(kind)]


def view(*objects: Object) -> View:
    by_name = {(kind.api_version, kind.name): kind for kind in STORED}
    tables = {kind: Table(kind) for kind in STORED}
    for obj in objects:
        kind = by_name[obj["apiVersion"], obj["kind"]]
        tables[kind].put(Entry.of(kind, obj))
    return View(tables)


def obj(api_version: str, kind: str, name: str, /, namespace: str = "default", **rest: Any) -> Object:
    """`rest` are its fields; those of `meta` go into its metadata. Its uid is its name."""
    meta: Object = {"name": name, "uid": name, "creationTimestamp": EARLIER, "resourceVersion": "1"}
    if namespace:
        meta["namespace"] = namespace
    return {"apiVersion": api_version, "kind": kind, "metadata": {**meta, **rest.pop("meta", {})}, **rest}


def controlled_by(owner: Object) -> list[Object]:
    meta = owner["metadata"]
    named = {"apiVersion": owner["apiVersion"], "kind": owner["kind"], "name": meta["name"], "uid": meta["uid"]}
    return [{**named, "controller": True, "blockOwnerDeletion": True}]


def pod(
    name: str, *, owner: Object | None = None, ready: bool = True, spec: Object | None = None, **meta: Any
) -> Object:
    said = "True" if ready else "False"
    conditions = [{"type": "Ready", "status": said, "lastTransitionTime": EARLIER}]
    if owner is not None:
        meta["ownerReferences"] = controlled_by(owner)
    return obj(
        "v1",
        "Pod",
        name,
        meta={"labels": {"app": "web"}, **meta},
        spec={"nodeName": "n", "containers": [{"name": "c", "image": "i"}], **(spec or {})},
        status={"phase": "Running", "conditions": conditions},
    )
