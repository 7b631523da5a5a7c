"""Numbered pods: made and ended in order, one of each number at a time, their claims kept or not as told."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Key, Object, is_terminating
from pylet.api.podtemplate import is_ready
from pylet.client.view import Entry
from tests.sim import invariants
from tests.sim.cluster import Cluster, running
from tests.sim.invariants import Breach
from tests.sim.virtual import run

_LABEL = ("app", "db")


def stateful_set(replicas: int, **spec: object) -> Object:
    labels = dict([_LABEL])
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "db:0"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "StatefulSet",
        "metadata": {"name": "db", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "serviceName": "db",
            "selector": {"matchLabels": labels},
            "template": template,
            **spec,
        },
    }


def image(version: int) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"db:{version}"}]}}}}


def images(cluster: Cluster) -> list[str]:
    pods = sorted(cluster.pods(), key=lambda pod: str(pod["metadata"]["name"]))
    return [pod["spec"]["containers"][0]["image"] for pod in pods]


def is_settled(cluster: Cluster) -> bool:
    db = cluster.get(STATEFUL_SET, "db")
    status, wanted, pods = db.get("status", {}), db["spec"]["replicas"], cluster.pods()
    names = ("replicas", "readyReplicas", "availableReplicas", "currentReplicas")
    start = db["spec"].get("ordinals", {}).get("start", 0)
    return (
        status.get("observedGeneration") == db["metadata"]["generation"]
        and [status.get(name, 0) for name in names] == [wanted] * 4
        and {pod["metadata"]["name"] for pod in pods} == {f"db-{n}" for n in range(start, start + wanted)}
        and not any(map(is_terminating, pods))
    )


def in_order(cluster: Cluster) -> None:
    """A pod is made only when all below it are ready, and is told to end only when none above it is there."""

    def check(before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        number = int(entry.key.name.rpartition("-")[2])
        others = {int(pod["metadata"]["name"].rpartition("-")[2]): pod for pod in cluster.pods()}
        if before is None:
            below = [pod for other, pod in others.items() if other < number]
            if len(below) != number or not all(is_ready(pod) and not is_terminating(pod) for pod in below):
                raise Breach(f"{entry.key} was made before those below it were ready")

    cluster.watch(POD, check)


@pytest.mark.parametrize("seed", range(6))
def test_scaling_goes_in_order(keys: Path, seed: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            invariants.one_owner(cluster)
            in_order(cluster)
            await cluster.apply(stateful_set(3))
            for _ in range(8):
                await cluster.until(lambda: is_settled(cluster))
                await cluster.patch(STATEFUL_SET, "db", {"spec": {"replicas": cluster.random.randrange(7)}})
                await asyncio.sleep(cluster.random.choice([0.0, 3.0]))
                if cluster.random.random() < 0.3:
                    await cluster.restart()
            await cluster.until(lambda: is_settled(cluster))
            invariants.no_orphans(cluster)

    run(scenario())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("policy", "most", "fewer"), [("OrderedReady", None, 1), ("Parallel", 3, 3)])
def test_an_update_replaces_so_many_at_a_time(keys: Path, seed: int, policy: str, most: int | None, fewer: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            rolling = {"maxUnavailable": most} if most else {}
            strategy = {"type": "RollingUpdate", "rollingUpdate": rolling}
            await cluster.apply(stateful_set(6, podManagementPolicy=policy, updateStrategy=strategy))
            await cluster.until(lambda: is_settled(cluster))
            invariants.Availability(cluster, _LABEL, floor=6 - fewer, ceiling=6)
            for version in (1, 2, 3, 1):
                await cluster.patch(STATEFUL_SET, "db", image(version))
                await asyncio.sleep(cluster.random.choice([0.0, 5.0, 60.0]))
                if cluster.random.random() < 0.4:
                    await cluster.restart()
            await cluster.until(lambda: is_settled(cluster) and images(cluster) == ["db:1"] * 6)

    run(scenario())


def test_a_partition_holds_an_update_back_and_a_rollback_takes_its_revision_back(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"partition": 2}}
            await cluster.apply(stateful_set(4, updateStrategy=strategy))
            await cluster.until(lambda: is_settled(cluster))
            await cluster.patch(STATEFUL_SET, "db", image(1))
            new_above = ["db:0", "db:0", "db:1", "db:1"]
            await cluster.until(lambda: images(cluster) == new_above and all(map(is_ready, cluster.pods())))
            await cluster.client.delete(POD, Key("default", "db-0"))
            await cluster.until(lambda: len(cluster.pods()) == 4 and all(map(is_ready, cluster.pods())))
            assert images(cluster) == new_above, "below the partition a pod comes back as it was"
            await cluster.patch(STATEFUL_SET, "db", image(0))
            await cluster.until(lambda: is_settled(cluster) and images(cluster) == ["db:0"] * 4)
            kept = cluster.view.select(CONTROLLER_REVISION, "default")
            assert sorted(revision["revision"] for revision in kept) == [2, 3]

    run(scenario())


@pytest.mark.parametrize(
    ("when_scaled", "when_deleted", "after_scaling", "after_deletion"),
    [("Retain", "Retain", 3, 3), ("Delete", "Retain", 1, 1), ("Retain", "Delete", 3, 0), ("Delete", "Delete", 1, 0)],
)
def test_claims_stay_or_go(
    keys: Path, when_scaled: str, when_deleted: str, after_scaling: int, after_deletion: int
) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            claim = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
            asked = stateful_set(
                3,
                volumeClaimTemplates=[{"metadata": {"name": "data"}, "spec": claim}],
                persistentVolumeClaimRetentionPolicy={"whenScaled": when_scaled, "whenDeleted": when_deleted},
            )
            await cluster.apply(asked)
            await cluster.until(lambda: is_settled(cluster))
            claims = cluster.tables[CLAIM].entries
            assert sorted(key.name for key in claims) == [f"data-db-{number}" for number in range(3)]
            await cluster.patch(STATEFUL_SET, "db", {"spec": {"replicas": 1}})
            await cluster.until(lambda: is_settled(cluster))
            await asyncio.sleep(10)
            assert len(claims) == after_scaling
            await cluster.client.delete(STATEFUL_SET, Key("default", "db"))
            await cluster.until(lambda: not cluster.pods())
            await asyncio.sleep(10)
            assert len(claims) == after_deletion
            invariants.no_orphans(cluster)

    run(scenario())
