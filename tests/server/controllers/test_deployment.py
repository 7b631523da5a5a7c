"""Deployment: what its status says of a roll-out, and what becomes of its ReplicaSets besides their sizes."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object
from pylet.server.controllers import deployment
from pylet.server.reconcile.plan import Delete, Patch
from tests.server.controllers.picture import EARLIER, NOW, controlled_by, obj, view

KEY = Key("default", "web")
GROUP = "deployment.kubernetes.io/"
REVISION, HISTORY = f"{GROUP}revision", f"{GROUP}revision-history"
LIMIT = 2**31 - 1


def template(image: str) -> Object:
    return {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "c", "image": image}]}}


def web(replicas: int = 3, *, reason: str = "", since: str = EARLIER, counts: Any = (), **spec: Any) -> Object:
    """`reason` is that of the condition Progressing; `counts` replicas, updated and available ones."""
    named = dict(zip(("replicas", "updatedReplicas", "availableReplicas"), counts, strict=False))
    status: Object = {**named, "readyReplicas": named.get("availableReplicas", 0)}
    if reason:
        times = {"lastUpdateTime": since, "lastTransitionTime": EARLIER}
        status["conditions"] = [{"type": "Progressing", "status": "True", "reason": reason, "message": "", **times}]
    asked = {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": template("v1"),
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}},
        "progressDeadlineSeconds": 600,
    }
    return obj("apps/v1", "Deployment", "web", spec=asked | spec, status=status)


def replica_set(
    owner: Object, name: str, size: int, running: int = 0, available: int = 0, image: str = "v0", **annotations: str
) -> Object:
    wanted = owner["spec"]["replicas"]
    known = {REVISION: "1", f"{GROUP}desired-replicas": f"{wanted}", f"{GROUP}max-replicas": f"{wanted + 1}"}
    return obj(
        "apps/v1",
        "ReplicaSet",
        name,
        meta={"labels": {"app": "web"}, "ownerReferences": controlled_by(owner), "annotations": known | annotations},
        spec={"replicas": size, "selector": {}, "template": template(image)},
        status={"replicas": running, "availableReplicas": available, "readyReplicas": available},
    )


def plan_of(*objects: Object) -> tuple[Object, timedelta | None, list[Any]]:
    """What the condition Progressing becomes, when to look again, and what happens to ReplicaSets."""
    plan = deployment.plan(KEY, view(*objects), NOW)
    conditions = objects[0].get("status", {}).get("conditions", ())
    for action in plan.actions:
        if isinstance(action, Patch) and action.subresource == "status":
            conditions = action.patch.get("status", {}).get("conditions", conditions)
    found = next((c for c in conditions if c["type"] == "Progressing"), {})
    return found, plan.again_after, [a for a in plan.actions if isinstance(a, Patch | Delete) and a.kind is REPLICA_SET]


@pytest.mark.parametrize(
    ("before", "new", "expected"),
    [
        pytest.param(web(), (3, 0, 0), ("True", "FoundNewReplicaSet"), id="a ReplicaSet somebody else had made"),
        pytest.param(web(), (3, 3, 3), ("True", "NewReplicaSetAvailable"), id="complete"),
        pytest.param(web(reason="NewReplicaSetCreated"), (3, 1, 0), ("True", "ReplicaSetUpdated"), id="a pod came"),
        pytest.param(
            web(reason="NewReplicaSetCreated"), (3, 0, 0), ("False", "ProgressDeadlineExceeded"), id="none came in time"
        ),
        pytest.param(
            web(reason="NewReplicaSetAvailable", counts=(3, 3, 3)),
            (3, 3, 2),
            ("True", "NewReplicaSetAvailable"),
            id="a pod that breaks after the roll-out is no roll-out",
        ),
        pytest.param(
            web(5, reason="NewReplicaSetAvailable", counts=(3, 3, 3)),
            (5, 4, 3),
            ("True", "NewReplicaSetAvailable"),
            id="nor is growing",
        ),
        pytest.param(
            web(reason="DeploymentResumed"), (3, 0, 0), ("False", "ProgressDeadlineExceeded"), id="resumed long ago"
        ),
        pytest.param(
            web(reason="ProgressDeadlineExceeded", paused=True),
            (3, 0, 0),
            ("True", "ProgressDeadlineExceeded"),
            id="a pause does not hide what went wrong",
        ),
        pytest.param(
            web(reason="ReplicaSetUpdated", paused=True), (3, 0, 0), ("Unknown", "DeploymentPaused"), id="paused"
        ),
        pytest.param(web(reason="DeploymentPaused"), (3, 0, 0), ("Unknown", "DeploymentResumed"), id="resumed"),
        pytest.param(
            web(reason="ReplicaSetUpdated", progressDeadlineSeconds=LIMIT), (3, 0, 0), (None, None), id="no deadline"
        ),
    ],
)
def test_progress(before: Object, new: tuple[int, int, int], expected: tuple[str | None, str | None]) -> None:
    found, _, _ = plan_of(before, replica_set(before, "new", *new, image="v1"))
    assert (found.get("status"), found.get("reason")) == expected


def test_who_waits_for_progress_looks_again_at_the_deadline() -> None:
    before = web(reason="NewReplicaSetCreated", since="2026-01-01T11:55:00Z")
    found, again_after, _ = plan_of(before, replica_set(before, "new", 3, image="v1"))
    assert (found["reason"], again_after) == ("NewReplicaSetCreated", timedelta(minutes=5))


def test_the_current_replica_set_learns_how_long_pods_must_be_ready() -> None:
    owner = web(reason="NewReplicaSetAvailable", counts=(3, 3, 3), minReadySeconds=30)
    (patch,) = plan_of(owner, replica_set(owner, "new", 3, 3, 3, image="v1"))[2][:1]
    assert patch.patch["spec"] == {"minReadySeconds": 30}


def test_a_rollback_keeps_the_revisions_a_replica_set_had() -> None:
    owner = web()
    new = replica_set(owner, "new", 0, image="v1", **{REVISION: "3", HISTORY: "1"})
    (patch, *_) = plan_of(owner, new, replica_set(owner, "old", 3, 3, 3, **{REVISION: "4"}))[2]
    assert patch.patch["metadata"]["annotations"] == {REVISION: "5", HISTORY: "1,3"}
    many = ",".join(map(str, range(1000, 1400)))
    new["metadata"]["annotations"][HISTORY] = many
    (patch, *_) = plan_of(owner, new, replica_set(owner, "old", 3, 3, 3, **{REVISION: "4"}))[2]
    assert patch.patch["metadata"]["annotations"][HISTORY] == f"{many[5:]},3"


def test_the_oldest_replica_sets_go_if_they_are_empty() -> None:
    owner = web(reason="NewReplicaSetAvailable", counts=(3, 3, 3), paused=True, revisionHistoryLimit=1)
    owner["metadata"]["annotations"] = {REVISION: "4"}
    sets = [
        replica_set(owner, "first", 0, 1, 0, **{REVISION: "1"}),
        replica_set(owner, "second", 0, image="v2", **{REVISION: "2"}),
        replica_set(owner, "third", 0, image="v3", **{REVISION: "3"}),
    ]
    current = replica_set(owner, "new", 3, 3, 3, image="v1", **{REVISION: "4"})
    gone = [action.key.name for action in plan_of(owner, *sets, current)[2] if isinstance(action, Delete)]
    assert gone == ["second"], "the first still has a pod; the third is to be kept"


@pytest.mark.parametrize(
    ("wanted", "sizes", "expected"),
    [
        pytest.param(10, {"new": 5}, {"new": 10}, id="alone"),
        pytest.param(2, {"new": 1, "old": 3}, {"new": 1, "old": 1}, id="half a pod is one, as Go rounds"),
        pytest.param(3, {"old": 0}, {"old": 3}, id="paused, empty, its new template without a ReplicaSet: the newest"),
    ],
)
def test_sizes_in_proportion(wanted: int, sizes: dict[str, int], expected: dict[str, int]) -> None:
    owner = web(wanted, paused=True, strategy={"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 0}})
    most = str(sum(sizes.values()))
    noted = {f"{GROUP}desired-replicas": most, f"{GROUP}max-replicas": most}
    sets = [
        replica_set(owner, name, size, size, size, "v1" if name == "new" else "v0", **noted)
        for name, size in sizes.items()
    ]
    found = {a.key.name: a.patch["spec"]["replicas"] for a in plan_of(owner, *sets)[2] if "spec" in a.patch}
    assert {**sizes, **found} == expected
