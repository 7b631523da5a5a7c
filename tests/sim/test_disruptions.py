"""Evictions under a PodDisruptionBudget: however many ask at once, and whatever restarts, the floor holds."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from pylet.api.errors import ApiError, NotFound, TooManyRequests
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.object import Key, Object, dig, is_terminating
from pylet.api.podtemplate import is_ready
from tests.sim import invariants
from tests.sim.cluster import Cluster, running
from tests.sim.virtual import run

_LABELS = {"app": "web"}


def deployment(replicas: int) -> Object:
    template = {"metadata": {"labels": _LABELS}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": _LABELS}, "template": template}
    meta = {"name": "web", "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def budget(**spec: object) -> Object:
    spec = {"selector": {"matchLabels": _LABELS}, **spec}
    meta = {"name": "web", "namespace": "default"}
    return {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": meta, "spec": spec}


async def evict(cluster: Cluster, name: str) -> bool:
    eviction = {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": name, "namespace": "default"}}
    try:
        await cluster.client.create(POD, eviction, key=Key("default", name), subresource="eviction")
    except (TooManyRequests, NotFound):
        return False
    return True


def healthy(cluster: Cluster) -> int:
    return sum(is_ready(pod) and not is_terminating(pod) for pod in cluster.pods())


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(("wish", "floor"), [({"minAvailable": 5}, 5), ({"maxUnavailable": "34%"}, 5)])
def test_evictions_never_go_below_the_floor(keys: Path, seed: int, wish: dict[str, object], floor: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            await cluster.apply(deployment(8))
            await cluster.apply(budget(**wish))
            await cluster.until(lambda: healthy(cluster) == 8)
            await cluster.until(lambda: dig(cluster.get(BUDGET, "web"), "status", "disruptionsAllowed") == 3)
            invariants.Availability(cluster, ("app", "web"), floor=floor, ceiling=8 + 8)
            evicted = 0
            while evicted < 30:
                names = [pod["metadata"]["name"] for pod in cluster.pods()]
                cluster.random.shuffle(names)
                evicted += sum(await asyncio.gather(*(evict(cluster, name) for name in names)))
                await asyncio.sleep(cluster.random.choice([0.0, 0.1, 1.0]))
                if cluster.random.random() < 0.05:
                    await cluster.restart()
            await cluster.until(lambda: healthy(cluster) == 8)
            await cluster.until(lambda: dig(cluster.get(BUDGET, "web"), "status", "disruptionsAllowed") == 3)
            assert "disruptedPods" not in cluster.get(BUDGET, "web")["status"]

    run(scenario())


def test_a_budget_follows_what_it_covers(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(budget(maxUnavailable=1))
            await cluster.apply(deployment(3))
            status = lambda: cluster.get(BUDGET, "web").get("status") or {}  # noqa: E731
            await cluster.until(lambda: status().get("disruptionsAllowed") == 1)
            assert (status()["expectedPods"], status()["desiredHealthy"]) == (3, 2)
            await cluster.patch(DEPLOYMENT, "web", {"spec": {"replicas": 6}})
            await cluster.until(lambda: status().get("desiredHealthy") == 5 and status()["disruptionsAllowed"] == 1)
            with contextlib.suppress(ApiError):
                await cluster.client.delete(DEPLOYMENT, Key("default", "web"))
            await cluster.until(lambda: status().get("expectedPods") == 0 and status()["disruptionsAllowed"] == 0)

    run(scenario())
