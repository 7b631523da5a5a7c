"""More pods than a quota allows: a condition says so, nothing spins, and room is used when it comes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pylet.api.kind import Kind
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.kinds.replicationcontroller import KIND as REPLICATION_CONTROLLER
from pylet.api.kinds.resourcequota import KIND as RESOURCE_QUOTA
from pylet.api.object import Key, Object, condition_of
from tests.sim.cluster import running
from tests.sim.virtual import run


def workload(kind: str, replicas: int) -> Object:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "web:0"}]}}
    selector: Object = labels if kind == "ReplicationController" else {"matchLabels": labels}
    return {
        "apiVersion": "v1" if kind == "ReplicationController" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": selector, "template": template},
    }


@pytest.mark.parametrize("kind", [REPLICA_SET, REPLICATION_CONTROLLER], ids=lambda kind: kind.name)
def test_a_quota_that_is_too_small(keys: Path, kind: Kind) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            meta = {"name": "few", "namespace": "default"}
            quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "2"}}}
            await cluster.apply(quota)
            await asyncio.sleep(1)
            await cluster.apply(workload(kind.name, 4))
            await asyncio.sleep(60)
            failed = condition_of(cluster.get(kind, "web"), "ReplicaFailure")
            assert failed is not None
            assert (failed["reason"], "exceeded quota: few" in failed["message"]) == ("FailedCreate", True)
            writes: list[object] = []
            cluster.watch(kind, lambda before, after: writes.append(after))
            await asyncio.sleep(3600)
            assert writes == []
            assert len(cluster.pods()) == 2
            await cluster.patch(RESOURCE_QUOTA, "few", {"spec": {"hard": {"pods": "10"}}})
            await cluster.until(lambda: len(cluster.pods()) == 4, seconds=1100)
            await asyncio.sleep(5)
            assert condition_of(cluster.get(kind, "web"), "ReplicaFailure") is None
            await cluster.client.delete(kind, Key("default", "web"))

    run(scenario())
