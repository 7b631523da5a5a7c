"""Hours of roll-outs: never below the floor, never above the surge, and at the end exactly what was asked for."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object, condition_of, dig, is_terminating
from tests.sim import invariants
from tests.sim.cluster import STAYS_PENDING, Cluster, running
from tests.sim.virtual import run

_LABEL = ("app", "web")


def deployment(replicas: int, **spec: object) -> Object:
    labels = dict([_LABEL])
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:0"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template, **spec},
    }


def image(version: int) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"web:{version}"}]}}}}


def is_settled(cluster: Cluster) -> bool:
    """What was asked for is there, available, and nothing else is left of it."""
    web = cluster.get(DEPLOYMENT, "web")
    wanted = web["spec"]["replicas"]
    status = web.get("status", {})
    pods = cluster.pods()
    asked = web["spec"]["template"]["spec"]["containers"][0]["image"]
    return (
        status.get("observedGeneration") == web["metadata"]["generation"]
        and [status.get(name, 0) for name in ("replicas", "updatedReplicas", "availableReplicas")] == [wanted] * 3
        and len(pods) == wanted
        and all(pod["spec"]["containers"][0]["image"] == asked for pod in pods)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("surge", "unavailable"), [("25%", "25%"), (0, 1), (3, 0), ("100%", "50%")])
def test_rollouts_stay_between_floor_and_surge(keys: Path, seed: int, surge: int | str, unavailable: int | str) -> None:
    """Templates change every now and then, also in the middle of a roll-out; the controllers are restarted, too."""
    replicas = 8

    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            invariants.one_owner(cluster)
            invariants.one_place(cluster)
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
            await cluster.apply(deployment(replicas, strategy=strategy))
            await cluster.until(lambda: is_settled(cluster))
            more, fewer = (
                int(str(v)[:-1]) * replicas // 100 if "%" in str(v) else int(v) for v in (surge, unavailable)
            )
            invariants.Availability(cluster, _LABEL, floor=replicas - fewer, ceiling=replicas + more)
            for version in range(1, 12):
                await cluster.patch(DEPLOYMENT, "web", image(cluster.random.choice([version, version - 2])))
                await asyncio.sleep(cluster.random.choice([0.0, 0.5, 3.0, 10.0, 120.0]))
                if cluster.random.random() < 0.4:
                    await cluster.restart()
            await cluster.until(lambda: is_settled(cluster))
            invariants.no_orphans(cluster)

    run(scenario())


@pytest.mark.parametrize("seed", range(6))
def test_chaos_ends_in_what_was_asked_for(keys: Path, seed: int) -> None:
    """Scaling, pausing, broken images, deleted pods, nodes that die and come back; then quiet."""

    async def scenario() -> None:
        async with running(keys, seed=seed, nodes=4) as cluster:
            invariants.one_owner(cluster)
            invariants.one_place(cluster)
            chance = cluster.random
            await cluster.apply(deployment(10))
            dead: list[str] = []
            for step in range(40):
                match chance.choice(["scale", "image", "pause", "broken", "delete", "cut", "return", "restart"]):
                    case "scale":
                        await cluster.patch(DEPLOYMENT, "web", {"spec": {"replicas": chance.randrange(16)}})
                    case "image":
                        await cluster.patch(DEPLOYMENT, "web", image(step))
                    case "pause":
                        await cluster.patch(DEPLOYMENT, "web", {"spec": {"paused": chance.random() < 0.5}})
                    case "broken":
                        mark = {"metadata": {"annotations": {STAYS_PENDING: chance.choice(["", None])}}}
                        await cluster.patch(DEPLOYMENT, "web", {"spec": {"template": mark}})
                    case "delete" if pods := cluster.pods():
                        victim = chance.choice(pods)
                        await cluster.client.delete(POD, Key("default", victim["metadata"]["name"]))
                    case "cut" if len(cluster.nodes) > 1:
                        dead.append(chance.choice(sorted(cluster.nodes)))
                        await cluster.stop_node(dead[-1])
                    case "return" if dead:
                        await cluster.start_node(dead.pop())
                    case "restart":
                        await cluster.restart()
                await asyncio.sleep(chance.choice([0.0, 1.0, 20.0, 60.0, 400.0]))
            for name in dead:
                await cluster.start_node(name)
            healed = {"spec": {"paused": False, "template": {"metadata": {"annotations": {STAYS_PENDING: None}}}}}
            await cluster.patch(DEPLOYMENT, "web", healed)
            await cluster.until(lambda: is_settled(cluster), seconds=900)
            invariants.no_orphans(cluster)
            history = cluster.view.select(REPLICA_SET, "default")
            assert len(history) <= 1 + cluster.get(DEPLOYMENT, "web")["spec"]["revisionHistoryLimit"]

    run(scenario())


def test_pods_of_a_dead_node_move_and_its_return_ends_the_old_ones(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(deployment(9))
            await cluster.until(lambda: is_settled(cluster))
            await cluster.stop_node("node-1")
            stopped = cluster.clock.monotonic()

            def ready() -> str:
                return str((condition_of(cluster.get(NODE, "node-1", ""), "Ready") or {})["status"])

            await cluster.until(lambda: ready() == "Unknown", seconds=60)
            assert cluster.clock.monotonic() - stopped >= 29.0  # 40 s after the last heartbeat, which is up to 10 s old
            on_it = [pod for pod in cluster.pods() if pod["spec"].get("nodeName") == "node-1"]
            assert len(on_it) == 3
            await asyncio.sleep(240)
            assert not any(is_terminating(pod) for pod in cluster.pods()), "pods tolerate a silent node for 300 s"
            await cluster.until(lambda: invariants.count(cluster.pods())["available"] == 9, seconds=120)
            assert sum(is_terminating(pod) for pod in cluster.pods()) == 3  # nobody there has confirmed their end
            await cluster.start_node("node-1")
            await cluster.until(lambda: is_settled(cluster) and ready() == "True")

    run(scenario())


def test_a_settled_cluster_writes_only_leases(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(deployment(5))
            await cluster.until(lambda: is_settled(cluster))
            await asyncio.sleep(4500)  # deadlines and back-offs have had their say, and Events have expired
            written: list[str] = []
            for kind in cluster.tables:
                if kind.plural != "leases":
                    cluster.watch(kind, lambda before, after: written.append(f"{(after or before).raw}"))
            await asyncio.sleep(7200)
            assert written == []

    run(scenario())


def test_what_does_not_fit_waits_and_comes_when_there_is_room(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            await cluster.apply(deployment(6))
            await asyncio.sleep(3600)
            assert [dig(pod, "spec", "nodeName") for pod in cluster.pods()] == [None] * 6
            await cluster.start_node("small", pods="4")
            await cluster.until(lambda: invariants.count(cluster.pods())["available"] == 4, seconds=30)
            await asyncio.sleep(60)
            await cluster.start_node("other")
            await cluster.until(lambda: is_settled(cluster), seconds=30)

    run(scenario())
