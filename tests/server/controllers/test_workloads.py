"""Deployment and ReplicaSet: what they plan for a picture of the cluster; no event loop, no server."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object
from pylet.server.controllers import deployment, replicaset
from pylet.server.reconcile.plan import Create, Delete, Patch
from tests.server.controllers.picture import NOW, controlled_by, obj, pod, view

KEY = Key("default", "web")
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": "v1"}]}}


def replica_set(replicas: int, /, *, name: str = "web", **status: Any) -> Object:
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "web"}}, "template": TEMPLATE}
    return obj("apps/v1", "ReplicaSet", name, meta={"uid": f"rs-{name}", "generation": 1}, spec=spec, status=status)


def of(owner: Object, name: str, *, ready: bool = True, node: str = "n") -> Object:
    return pod(name, owner=owner, ready=ready, spec={"nodeName": node})


def test_a_replica_set_creates_what_is_missing() -> None:
    owner = replica_set(3)
    plan = replicaset.CONTROLLER.plan(KEY, view(owner, of(owner, "a")), NOW)
    assert [type(action) for action in plan.actions] == [Patch, Create, Create]


def test_a_replica_set_deletes_first_what_is_missed_least() -> None:
    owner = replica_set(1)
    pods = [of(owner, "good"), of(owner, "unready", ready=False), of(owner, "unassigned", node="")]
    plan = replicaset.CONTROLLER.plan(KEY, view(owner, *pods), NOW)
    assert [action.key.name for action in plan.actions if isinstance(action, Delete)] == ["unassigned", "unready"]


def test_the_plan_of_a_settled_replica_set_is_empty() -> None:
    counts = {name: 2 for name in ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")}
    owner = replica_set(2, **counts, observedGeneration=1)
    assert replicaset.CONTROLLER.plan(KEY, view(owner, of(owner, "a"), of(owner, "b")), NOW).actions == ()


def web(replicas: int, **strategy: Any) -> Object:
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": TEMPLATE,
        "strategy": strategy or rolling,
        "progressDeadlineSeconds": 600,
    }
    return obj("apps/v1", "Deployment", "web", meta={"uid": "d", "generation": 1}, spec=spec)


def generation(owner: Object, name: str, replicas: int, available: int, *, image: str) -> Object:
    """A ReplicaSet of the deployment, annotated as the controller does."""
    found = replica_set(replicas, name=name, replicas=replicas, availableReplicas=available)
    found["metadata"]["ownerReferences"] = controlled_by(owner)
    found["metadata"]["labels"] = {"app": "web"}
    found["metadata"]["annotations"] = {
        "deployment.kubernetes.io/revision": "2" if image == "v1" else "1",
        "deployment.kubernetes.io/desired-replicas": str(owner["spec"]["replicas"]),
        "deployment.kubernetes.io/max-replicas": str(owner["spec"]["replicas"] + 1),
    }
    found["spec"]["template"] = {**TEMPLATE, "spec": {"containers": [{"name": "c", "image": image}]}}
    return found


def sizes(*objects: Object) -> dict[str, int]:
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


def test_recreate_begins_when_nothing_old_is_left() -> None:
    owner = web(3, type="Recreate")
    old, new = generation(owner, "old", 0, 0, image="v0"), generation(owner, "new", 0, 0, image="v1")
    assert sizes(owner, old, new) == {"new": 3}
    assert sizes(owner, old, new, of(old, "left")) == {}


def test_of_a_percentage_fewer_may_be_missing_than_more() -> None:
    owner = web(3, type="RollingUpdate", rollingUpdate={"maxSurge": "25%", "maxUnavailable": "25%"})
    old, new = generation(owner, "old", 3, 3, image="v0"), generation(owner, "new", 1, 0, image="v1")
    assert sizes(owner, old, new) == {}


@pytest.mark.parametrize("available", [2, 0], ids=["healthy", "broken"])
def test_what_may_go_goes_once_whoever_has_it(available: int) -> None:
    owner = web(4)
    first, second = (generation(owner, name, 2, available, image=f"v0-{name}") for name in ("first", "second"))
    assert sizes(owner, first, second, generation(owner, "new", 1, 1, image="v1")) == {"first": 1}
