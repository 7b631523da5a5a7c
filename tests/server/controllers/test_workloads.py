"""Deployment and ReplicaSet: what they plan for a picture of the cluster; no event loop, no server."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key
from pylet.client.view import Entry, Table, View
from pylet.server.controllers import deployment, replicaset
from pylet.server.reconcile.plan import Create, Delete, Patch

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
STAMP = "2026-01-01T11:00:00Z"
KEY = Key("default", "web")
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}


def view(*objects: dict[str, Any]) -> View:
    tables = {kind: Table(kind) for kind in (DEPLOYMENT, REPLICA_SET, POD)}
    by_name = {kind.name: kind for kind in tables}
    for obj in objects:
        kind = by_name[obj["kind"]]
        tables[kind].put(Entry.of(kind, obj))
    return View(tables)


def owned_by(owner: dict[str, Any]) -> list[dict[str, Any]]:
    meta = owner["metadata"]
    return [{"kind": owner["kind"], "name": meta["name"], "uid": meta["uid"], "controller": True}]


def replica_set(replicas: int, /, *, name: str = "web", **status: Any) -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "uid": f"rs-{name}", "creationTimestamp": STAMP, "generation": 1}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": meta, "spec": spec, "status": status}


def pod(name: str, owner: dict[str, Any], *, ready: bool = True, node: str = "n") -> dict[str, Any]:
    meta = {"name": name, "namespace": "default", "uid": name, "creationTimestamp": STAMP, "labels": {"app": "web"}}
    condition = {"type": "Ready", "status": "True" if ready else "False", "lastTransitionTime": STAMP}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {**meta, "ownerReferences": owned_by(owner)},
        "spec": {"nodeName": node},
        "status": {"phase": "Running", "conditions": [condition]},
    }


def test_a_replica_set_creates_what_is_missing() -> None:
    owner = replica_set(3)
    plan = replicaset.CONTROLLER.plan(KEY, view(owner, pod("a", owner)), NOW)
    assert [type(action) for action in plan.actions] == [Patch, Create, Create]


def test_a_replica_set_deletes_first_what_is_missed_least() -> None:
    owner = replica_set(1)
    pods = [pod("good", owner), pod("unready", owner, ready=False), pod("unassigned", owner, node="")]
    plan = replicaset.CONTROLLER.plan(KEY, view(owner, *pods), NOW)
    assert [action.key.name for action in plan.actions if isinstance(action, Delete)] == ["unassigned", "unready"]


def test_the_plan_of_a_settled_replica_set_is_empty() -> None:
    counts = {name: 2 for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")}
    owner = replica_set(2, **counts, observedGeneration=1)
    assert replicaset.CONTROLLER.plan(KEY, view(owner, pod("a", owner), pod("b", owner)), NOW).actions == ()


def web(replicas: int, **strategy: Any) -> dict[str, Any]:
    meta = {"name": "web", "namespace": "default", "uid": "d", "creationTimestamp": STAMP, "generation": 1}
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": TEMPLATE,
        "strategy": strategy or rolling,
        "progressDeadlineSeconds": 600,
    }
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def generation(owner: dict[str, Any], name: str, replicas: int, available: int, *, image: str) -> dict[str, Any]:
    """A ReplicaSet of the deployment, annotated as the controller does."""
    found = replica_set(replicas, name=name, replicas=replicas, availableReplicas=available)
    found["metadata"]["ownerReferences"] = owned_by(owner)
    found["metadata"]["annotations"] = {
        "deployment.kubernetes.io/revision": "2" if image == "v1" else "1",
        "deployment.kubernetes.io/desired-replicas": str(owner["spec"]["replicas"]),
        "deployment.kubernetes.io/max-replicas": str(owner["spec"]["replicas"] + 1),
    }
    found["spec"]["template"] = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": image}]}}
    return found


def sizes(*objects: dict[str, Any]) -> dict[str, int]:
    """ReplicaSet → the size the plan gives it."""
    plan = deployment.plan(KEY, view(*objects), NOW)
    patches = [a for a in plan.actions if isinstance(a, Patch) and a.kind is REPLICA_SET and "spec" in a.patch]
    return {action.key.name: action.patch["spec"]["replicas"] for action in patches}


def test_a_new_deployment_gets_its_replica_set() -> None:
    create, noted = deployment.plan(KEY, view(web(3)), NOW).actions
    assert isinstance(create, Create)
    assert isinstance(noted, Patch)
    assert [condition["reason"] for condition in noted.patch["status"]["conditions"]] == ["NewReplicaSetCreated"]
    assert create.object["spec"]["replicas"] == 3
    assert create.told is not None
    assert create.told.message.endswith("from 0 to 3")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param((3, 3), (0, 0), {"new": 1}, id="the surge first"),
        pytest.param((3, 3), (1, 0), {}, id="waits for the new pod"),
        pytest.param((3, 3), (1, 1), {"old": 2}, id="one old pod for one new"),
        pytest.param((2, 2), (1, 1), {"new": 2}, id="and again"),
        pytest.param((3, 1), (1, 0), {}, id="an unhealthy old pod is not given up below the floor"),
        pytest.param((1, 1), (3, 3), {"old": 0}, id="the last old pod"),
    ],
)
def test_a_rolling_update_stays_between_its_bounds(
    old: tuple[int, int], new: tuple[int, int], expected: dict[str, int]
) -> None:
    owner = web(3)
    assert (
        sizes(owner, generation(owner, "old", *old, image="v0"), generation(owner, "new", *new, image="v1")) == expected
    )


def test_recreate_ends_the_old_before_the_new_begins() -> None:
    owner = web(3, type="Recreate")
    old = generation(owner, "old", 3, 3, image="v0")
    old["metadata"]["annotations"]["deployment.kubernetes.io/max-replicas"] = "3"
    assert sizes(owner, old) == {"old": 0}
