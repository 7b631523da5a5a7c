"""Volumes under load: claims come and go with their pods, and no volume ever serves two claims or is left behind."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig
from pylet.client.view import Entry
from tests.sim.cluster import Cluster, running
from tests.sim.invariants import Breach
from tests.sim.virtual import run

REQUESTS = {"requests": {"storage": "1Gi"}}


def claim(name: str, **spec: object) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": REQUESTS, **spec}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": spec}


def pod(name: str, uses: str) -> Object:
    volume = {"name": "v", "persistentVolumeClaim": {"claimName": uses}}
    spec = {"containers": [{"name": "c", "image": "i"}], "volumes": [volume], "terminationGracePeriodSeconds": 1}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": spec}


def one_volume_one_claim(cluster: Cluster) -> None:
    """At every write: a bound claim's volume names it, and no two claims are bound to one volume."""

    def check(_: Entry | None, after: Entry | None) -> None:
        holders: dict[str, Key] = {}
        for entry in cluster.tables[CLAIM].entries.values():
            if dig(entry.object, "status", "phase") != "Bound":
                continue
            name = entry.object["spec"]["volumeName"]
            if name in holders:
                raise Breach(f"{name} serves {holders[name]} and {entry.key}")
            holders[name] = entry.key
            volume = cluster.view.get(VOLUME, Key("", name))
            if volume is not None and dig(volume, "spec", "claimRef", "uid") != entry.uid:
                raise Breach(f"{entry.key} says {name}, which says another")

    cluster.watch(CLAIM, check)
    cluster.watch(VOLUME, check)


@pytest.mark.parametrize("seed", range(4))
def test_local_volumes_come_and_go_with_their_claims(keys: Path, seed: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            one_volume_one_claim(cluster)
            for number in range(12):
                await cluster.apply(claim(f"c{number}"))
                if cluster.random.random() < 0.8:
                    await cluster.apply(pod(f"p{number}", f"c{number}"))
                await asyncio.sleep(cluster.random.choice([0.0, 0.5]))
                if cluster.random.random() < 0.2:
                    await cluster.restart()
            used = {entry.key.name[1:] for entry in cluster.tables[POD].entries.values()}

            def are_bound() -> bool:
                claims = cluster.view.select(CLAIM, "default")
                bound = {c["metadata"]["name"][1:] for c in claims if dig(c, "status", "phase") == "Bound"}
                return bound == used

            await cluster.until(are_bound)
            for number in range(12):
                await cluster.client.delete(CLAIM, Key("default", f"c{number}"))
            await asyncio.sleep(5)
            left = {key.name[1:] for key in cluster.tables[CLAIM].entries}
            assert left == used, "claims in use stay"
            for number in used:
                await cluster.client.delete(POD, Key("default", f"p{number}"))
            await cluster.until(lambda: not cluster.tables[CLAIM].entries and not cluster.tables[VOLUME].entries)

    run(scenario())


@pytest.mark.parametrize("seed", range(3))
def test_claims_race_for_few_volumes(keys: Path, seed: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            one_volume_one_claim(cluster)
            for number in range(10):
                await cluster.apply(claim(f"c{number}", storageClassName="manual"))
            for number in range(6):
                spec = {
                    "capacity": {"storage": "2Gi"},
                    "accessModes": ["ReadWriteOnce"],
                    "storageClassName": "manual",
                    "persistentVolumeReclaimPolicy": "Retain",
                    "hostPath": {"path": f"/v{number}"},
                }
                meta = {"name": f"v{number}"}
                await cluster.apply({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": meta, "spec": spec})

            def count(kind_phase: str) -> int:
                return sum(dig(c, "status", "phase") == kind_phase for c in cluster.view.select(CLAIM, "default"))

            await cluster.until(lambda: count("Bound") == 6)
            await asyncio.sleep(30)
            assert (count("Bound"), count("Pending")) == (6, 4)
            phases = [dig(volume, "status", "phase") for volume in cluster.view.select(VOLUME)]
            assert phases == ["Bound"] * 6

    run(scenario())
