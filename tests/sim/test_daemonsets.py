"""Daemons through updates, nodes that come and go, taints and restarts: one on every node that should have one."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pylet.api.kinds.controllerrevision import KIND as CONTROLLER_REVISION
from pylet.api.kinds.daemonset import KIND as DAEMON_SET
from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from tests.sim import invariants
from tests.sim.cluster import Cluster, running
from tests.sim.virtual import run

_LABEL = ("app", "agent")


def daemon_set(**spec: object) -> Object:
    labels = dict([_LABEL])
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "agent:0"}]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}, "template": template, **spec},
    }


def image(version: int) -> Object:
    return {"spec": {"template": {"spec": {"containers": [{"name": "c", "image": f"agent:{version}"}]}}}}


def is_settled(cluster: Cluster, nodes: int) -> bool:
    agent = cluster.get(DAEMON_SET, "agent")
    status, pods = agent.get("status", {}), cluster.pods()
    asked = agent["spec"]["template"]["spec"]["containers"][0]["image"]
    names = ("desiredNumberScheduled", "currentNumberScheduled", "updatedNumberScheduled", "numberAvailable")
    return (
        status.get("observedGeneration") == agent["metadata"]["generation"]
        and [status.get(name, 0) for name in names] == [nodes] * 4
        and len({pod["spec"].get("nodeName") for pod in pods}) == len(pods) == nodes
        and all(pod["spec"]["containers"][0]["image"] == asked for pod in pods)
    )


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("surge", "unavailable"), [(0, 1), (0, "50%"), (2, 0)])
def test_updates_stay_within_bounds(keys: Path, seed: int, surge: int, unavailable: int | str) -> None:
    nodes = 6

    async def scenario() -> None:
        async with running(keys, seed=seed, nodes=nodes) as cluster:
            invariants.one_owner(cluster)
            strategy = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}
            await cluster.apply(daemon_set(updateStrategy=strategy))
            await cluster.until(lambda: is_settled(cluster, nodes))
            fewer = nodes // 2 if unavailable == "50%" else int(unavailable)
            invariants.Availability(cluster, _LABEL, floor=nodes - fewer, ceiling=nodes + surge)
            for version in range(1, 6):
                await cluster.patch(DAEMON_SET, "agent", image(cluster.random.choice([version, version - 2])))
                await asyncio.sleep(cluster.random.choice([0.0, 2.0, 60.0]))
                if cluster.random.random() < 0.4:
                    await cluster.restart()
            await cluster.until(lambda: is_settled(cluster, nodes))

    run(scenario())


def test_nodes_that_come_go_and_are_tainted(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            await cluster.apply(daemon_set())
            await cluster.until(lambda: is_settled(cluster, 3))
            await cluster.start_node("late")
            await cluster.until(lambda: is_settled(cluster, 4))
            taint = {"key": "k", "value": "v", "effect": "NoSchedule"}
            await cluster.patch(NODE, "late", {"spec": {"taints": [taint]}}, namespace="")
            await asyncio.sleep(60)
            assert len(cluster.pods()) == 4, "what runs may stay"
            await cluster.patch(NODE, "late", {"spec": {"taints": [{**taint, "effect": "NoExecute"}]}}, namespace="")
            await cluster.until(lambda: is_settled(cluster, 3))
            await cluster.stop_node("node-0")
            await asyncio.sleep(1200)
            assert Counter(pod["spec"]["nodeName"] for pod in cluster.pods())["node-0"] == 1, "daemons are not evicted"
            await cluster.client.delete(NODE, Key("", "node-0"))
            await cluster.until(lambda: is_settled(cluster, 2))
            await cluster.client.delete(DAEMON_SET, Key("default", "agent"))
            await cluster.until(lambda: not cluster.pods())
            await asyncio.sleep(5)
            invariants.no_orphans(cluster)

    run(scenario())


def test_history_is_bounded_and_a_rollback_takes_its_revision_back(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            await cluster.apply(daemon_set(revisionHistoryLimit=2))
            for version in (1, 2, 3, 4, 2):
                await cluster.until(lambda: is_settled(cluster, 1))
                await cluster.patch(DAEMON_SET, "agent", image(version))
            await cluster.until(lambda: is_settled(cluster, 1))
            kept = cluster.view.select(CONTROLLER_REVISION, "default")
            assert sorted(revision["revision"] for revision in kept) == [4, 5, 6]
            newest = max(kept, key=lambda revision: int(revision["revision"]))
            template = newest["data"]["spec"]["template"]
            assert (template["$patch"], template["spec"]["containers"][0]["image"]) == ("replace", "agent:2")
            assert list(template) == sorted(template), "clients compare bytes"

    run(scenario())
