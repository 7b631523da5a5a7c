"""What is deleted goes, all of it, and nothing else: namespaces under load, and owners in circles."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from pylet.api import kinds
from pylet.api.errors import ApiError
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.deployment import KIND as DEPLOYMENT
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Key, Object, condition_of
from tests.sim import invariants
from tests.sim.cluster import Cluster, running
from tests.sim.virtual import run


def named(name: str, namespace: str = "doomed", **meta: object) -> Object:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": namespace, **meta}}


def deployment(name: str, replicas: int) -> Object:
    labels = {"app": name}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
    meta = {"name": name, "namespace": "doomed"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec}


def left_in(cluster: Cluster, namespace: str) -> list[str]:
    return [
        f"{kind.plural}/{key.name}"
        for kind, table in cluster.tables.items()
        if kind.namespaced
        for key in table.in_namespace(namespace)
    ]


@pytest.mark.parametrize("seed", range(4))
def test_a_namespace_is_emptied_while_others_write_into_it(keys: Path, seed: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            await cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
            await cluster.until(lambda: "serviceaccounts/default" in left_in(cluster, "doomed"))

            async def write() -> None:
                for number in range(200):
                    with contextlib.suppress(ApiError):
                        await cluster.apply(named(f"m{number}"))
                    await asyncio.sleep(cluster.random.uniform(0, 0.3))

            for number in range(3):
                await cluster.apply(deployment(f"d{number}", 5))
            writer = asyncio.create_task(write())
            await asyncio.sleep(cluster.random.uniform(1, 20))
            held = await cluster.apply(named("held", finalizers=["sim.test/held"]))
            await cluster.client.delete(NAMESPACE, Key("", "doomed"))
            await cluster.restart()
            await cluster.until(lambda: left_in(cluster, "doomed") == ["configmaps/held"], seconds=120)

            def is_told() -> bool:
                told = condition_of(cluster.get(NAMESPACE, "doomed", ""), "NamespaceFinalizersRemaining") or {}
                return told.get("message", "").endswith("sim.test/held in 1 resource instances")

            await cluster.until(is_told)
            await cluster.patch(CONFIG_MAP, held["metadata"]["name"], {"metadata": {"finalizers": None}}, "doomed")
            await cluster.until(lambda: Key("", "doomed") not in cluster.tables[NAMESPACE].entries)
            await writer
            assert left_in(cluster, "doomed") == []

    run(scenario())


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
@pytest.mark.parametrize("size", [1, 2, 5])
def test_owners_in_a_circle_do_not_hold_each_other(keys: Path, propagation: str, size: int) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            made = [await cluster.apply(named(f"m{number}", "default")) for number in range(size)]
            for number, one in enumerate(made):
                owner = made[(number + 1) % size]["metadata"]
                reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": owner["name"], "uid": owner["uid"]}
                owners = [{**reference, "blockOwnerDeletion": True}]
                patch = {"metadata": {"ownerReferences": owners}}
                await cluster.patch(CONFIG_MAP, one["metadata"]["name"], patch)
            await cluster.client.delete(CONFIG_MAP, Key("default", "m0"), propagation=propagation)
            await cluster.until(
                lambda: not any(key.name.startswith("m") for key in cluster.tables[CONFIG_MAP].in_namespace("default")),
                seconds=60,
            )

    run(scenario())


@pytest.mark.parametrize("still_owned", [True, False])
def test_an_owner_that_is_no_longer_blocked_goes_at_once(keys: Path, *, still_owned: bool) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            owner = (await cluster.apply(named("owner", "default")))["metadata"]
            reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["uid"]}
            blocking = [{**reference, "blockOwnerDeletion": True}]
            meta = {"ownerReferences": blocking, "finalizers": ["sim.test/held"]}
            await cluster.apply(named("owned", "default", **meta))
            await cluster.client.delete(CONFIG_MAP, Key("default", "owner"), propagation="Foreground")
            await asyncio.sleep(10)
            assert Key("default", "owner") in cluster.tables[CONFIG_MAP].entries
            owners = [{**reference, "blockOwnerDeletion": False}] if still_owned else None
            await cluster.patch(CONFIG_MAP, "owned", {"metadata": {"ownerReferences": owners}})
            await cluster.until(lambda: Key("default", "owner") not in cluster.tables[CONFIG_MAP].entries, seconds=5)

    run(scenario())


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_a_deployment_takes_all_it_owns_along_or_nothing(keys: Path, seed: int, propagation: str) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            await cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "doomed"}})
            await cluster.until(lambda: "serviceaccounts/default" in left_in(cluster, "doomed"))
            await cluster.apply(deployment("web", 6))
            await cluster.until(lambda: len(cluster.pods("doomed")) == 6)
            key = Key("doomed", "web")
            await cluster.client.delete(DEPLOYMENT, key, propagation=propagation)
            await cluster.restart()
            await cluster.until(lambda: key not in cluster.tables[DEPLOYMENT].entries)
            sets = kinds.by_kind("apps", "v1", "ReplicaSet")
            assert sets is not None
            if propagation == "Foreground":
                assert not cluster.pods("doomed")
            if propagation == "Orphan":
                await asyncio.sleep(30)
                assert len(cluster.pods("doomed")) == 6
                assert len(cluster.view.select(sets, "doomed")) == 1
            else:
                await cluster.until(lambda: not cluster.pods("doomed") and not cluster.view.select(sets, "doomed"))
            invariants.no_orphans(cluster)

    run(scenario())
