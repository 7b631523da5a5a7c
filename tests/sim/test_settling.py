"""Everything at once: whatever comes in whatever order, and wherever controllers are interrupted, ends the same."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pylet.api.kind import Kind
from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.daemonset import KIND as DAEMON_SET
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.endpointslice import KIND as ENDPOINT_SLICE
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.kinds.resourcequota import KIND as QUOTA
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Object, labels_of, owners_of
from pylet.client.view import Entry
from tests.sim import invariants
from tests.sim.cluster import FAILS, Cluster, running
from tests.sim.virtual import run

_BY_CHANCE = ("batch.kubernetes.io/", "controller-uid", "topology.kubernetes.io/")
_MADE_BY_CONTROLLERS = (POD, REPLICA_SET, CONTROLLER_REVISION, CLAIM, ENDPOINT_SLICE)


def workload(kind: str, name: str, **spec: Any) -> Object:
    labels = {"app": name}
    pod: Object = {"containers": [{"name": "c", "image": "web:0"}]}
    meta: Object = {"labels": labels}
    if kind == "Job":
        pod["restartPolicy"], meta["annotations"] = "Never", {FAILS: "0"}
    whole: Object = {"template": {"metadata": meta, "spec": pod}, **spec}
    if kind != "Job":
        whole["selector"] = {"matchLabels": labels}
    version = "batch/v1" if kind == "Job" else "apps/v1"
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": whole}


def named(version: str, kind: str, name: str, **spec: Any) -> Object:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "default"}, "spec": spec}


_CLAIM = {
    "metadata": {"name": "data"},
    "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Mi"}}},
}
_OBJECTS = (
    workload("Deployment", "web", replicas=5),
    workload("StatefulSet", "db", replicas=3, serviceName="db", volumeClaimTemplates=[_CLAIM]),
    workload("DaemonSet", "log"),
    workload("Job", "sum", completions=5, parallelism=2),
    named("v1", "Service", "web", selector={"app": "web"}, ports=[{"port": 80}]),
    named("policy/v1", "PodDisruptionBudget", "web", minAvailable=3, selector={"matchLabels": {"app": "web"}}),
    named("v1", "ResourceQuota", "all", hard={"pods": "40", "count/replicasets.apps": "40"}),
)
_IMAGE = {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": "web:1"}]}}}}
_CHANGES = ((DEPLOYMENT, "web"), (STATEFUL_SET, "db"), (DAEMON_SET, "log"))


def is_settled(cluster: Cluster) -> bool:
    wanted = {(DEPLOYMENT, "web"): 5, (STATEFUL_SET, "db"): 3, (DAEMON_SET, "log"): len(cluster.nodes)}
    for (kind, name), count in wanted.items():
        obj = cluster.get(kind, name)
        status = obj.get("status", {})
        fields = (
            ("numberReady", "updatedNumberScheduled") if kind is DAEMON_SET else ("readyReplicas", "updatedReplicas")
        )
        if status.get("observedGeneration") != obj["metadata"]["generation"]:
            return False
        if [status.get(field) for field in fields] != [count, count]:
            return False
    done = cluster.get(JOB, "sum").get("status", {}).get("succeeded") == 5
    return done and len(cluster.pods()) == sum(wanted.values()) + 5


def picture(cluster: Cluster) -> Counter[str]:
    """What there is, less what chance and time decide: names, places and moments."""
    found: Counter[str] = Counter()
    for kind in _MADE_BY_CONTROLLERS:
        for obj in cluster.view.select(kind, "default"):
            owners = [(owner["kind"], owner["name"]) for owner in owners_of(obj)]
            labels = {name: value for name, value in labels_of(obj).items() if not name.startswith(_BY_CHANCE)}
            image = [c["image"] for c in obj["spec"]["containers"]] if kind is POD else obj.get("revision")
            phase = obj.get("status", {}).get("phase")
            found[f"{kind.plural} {owners} {labels} {image} {phase} {len(obj.get('endpoints') or ())}"] += 1
    for kind in (DEPLOYMENT, REPLICA_SET, STATEFUL_SET, DAEMON_SET, JOB, BUDGET, QUOTA):
        for obj in cluster.view.select(kind, "default"):
            status = {name: value for name, value in obj.get("status", {}).items() if not name.endswith("Time")}
            conditions = [(c["type"], c["status"]) for c in status.pop("conditions", ())]
            found[f"{kind.plural} {obj['metadata']['name']} {sorted(status.items())} {sorted(conditions)}"] += 1
    return found


def watch_writes(cluster: Cluster, note: Callable[[Kind, Entry | None, Entry], None]) -> None:
    """But for leases, and for Events of nodes, of which a controller that starts tells anew."""

    def hear(kind: Kind, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and (kind is not EVENT or entry.object["involvedObject"]["kind"] != "Node"):
            note(kind, before, entry)

    for kind in cluster.tables:
        if kind is not LEASE:
            cluster.watch(kind, partial(hear, kind))


async def course(keys: Path, seed: int, *, restart_after: int = 0) -> tuple[Counter[str], Counter[Kind]]:
    """Everything is made and changed in an order that `seed` decides; what is there in the end, and what was made.

    The controllers are interrupted after every so many writes.
    """
    made: Counter[Kind] = Counter()
    writes = 0
    due = asyncio.Event()
    async with running(keys, seed=seed, nodes=2) as cluster:

        def note(kind: Kind, before: Entry | None, _: Entry) -> None:
            nonlocal writes
            writes += 1
            made[kind] += before is None
            if restart_after and writes % restart_after == 0:
                due.set()

        async def interrupt() -> None:
            while True:
                await due.wait()
                due.clear()
                await cluster.restart()

        watch_writes(cluster, note)
        interrupting = asyncio.create_task(interrupt())
        chance = cluster.random
        for obj in chance.sample(_OBJECTS, len(_OBJECTS)):
            await cluster.apply(obj)
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.1, 2.0]))
        await cluster.until(lambda: is_settled(cluster))
        for kind, name in chance.sample(_CHANGES, len(_CHANGES)):
            await cluster.patch(kind, name, _IMAGE)
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.1, 2.0]))
        await cluster.until(lambda: is_settled(cluster))
        await asyncio.sleep(60)
        interrupting.cancel()
        invariants.no_orphans(cluster)
        return picture(cluster), Counter({kind: made[kind] for kind in _MADE_BY_CONTROLLERS})


@pytest.mark.parametrize("seed", range(1, 4))
def test_any_order_ends_in_the_same(keys: Path, seed: int) -> None:
    assert run(course(keys, seed))[0] == run(course(keys, 0))[0]


@pytest.mark.parametrize("writes", [1, 2, 7])
def test_controllers_interrupted_anywhere_do_nothing_twice(keys: Path, writes: int) -> None:
    assert run(course(keys, 0, restart_after=writes)) == run(course(keys, 0))


def test_the_plans_of_a_settled_picture_are_empty(keys: Path) -> None:
    """Controllers that start plan every key anew: all there is to do is nothing, not even to tell."""

    async def scenario() -> None:
        async with running(keys) as cluster:
            for obj in _OBJECTS:
                await cluster.apply(obj)
            await cluster.until(lambda: is_settled(cluster))
            await asyncio.sleep(60)
            written: list[str] = []
            watch_writes(cluster, lambda kind, before, entry: written.append(f"{kind.plural} {entry.key}"))
            for _ in range(3):
                await cluster.restart()
                await asyncio.sleep(20)
            assert written == []
            assert cluster.view.select(EVENT, "default")

    run(scenario())
