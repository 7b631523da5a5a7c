"""Pods that cannot all be placed: who waits, who is woken, who must go, and that no node is ever over its room."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from pylet.api.errors import Conflict
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.poddisruptionbudget import KIND as BUDGET
from pylet.api.object import Key, Object, condition_of, dig, is_terminating
from pylet.server.scheduler import loop
from pylet.server.scheduler.acting import Writer
from pylet.server.scheduler.configuration import profiles
from pylet.server.scheduler.decide import decide
from pylet.server.scheduler.model import Pending
from tests.sim import invariants
from tests.sim.cluster import Cluster, running
from tests.sim.virtual import run

_ZONE = "topology.kubernetes.io/zone"


def pod(name: str, cpu: str = "1", *, labels: Any = None, **spec: Any) -> Object:
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels or {}},
        "spec": {"containers": [container], "terminationGracePeriodSeconds": 0, **spec},
    }


def deployment(name: str, replicas: int, cpu: str, **spec: Any) -> Object:
    labels = {"app": name}
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], **spec}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


def priority(name: str, value: int) -> Object:
    return {
        "apiVersion": "scheduling.k8s.io/v1",
        "kind": "PriorityClass",
        "metadata": {"name": name},
        "value": value,
    }


def node_of(cluster: Cluster, name: str) -> str:
    found = cluster.view.get(POD, Key("default", name))
    return dig(found, "spec", "nodeName", default="")


def reason_of(cluster: Cluster, name: str) -> str:
    found = condition_of(cluster.get(POD, name), "PodScheduled")
    return "" if found is None else found.get("reason", "")


def told(cluster: Cluster, name: str, reason: str = "FailedScheduling") -> int:
    """How often an event was told of the pod."""
    events = [entry.object for entry in cluster.tables[EVENT].entries.values()]
    return sum(
        dig(event, "series", "count", default=1)
        for event in events
        if event["involvedObject"]["name"] == name and event["reason"] == reason
    )


def test_who_matters_more_gets_room_and_budgets_are_spared(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=2) as cluster:
            invariants.one_place(cluster)
            await cluster.apply(priority("high", 1000))
            budget = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "kept"}}}
            await cluster.apply(
                {
                    "apiVersion": "policy/v1",
                    "kind": "PodDisruptionBudget",
                    "metadata": {"name": "kept", "namespace": "default"},
                    "spec": budget,
                }
            )
            await cluster.apply(deployment("kept", 2, "2"))
            await cluster.until(lambda: len([p for p in cluster.pods() if condition_of(p, "Ready")]) == 2)
            await cluster.apply(deployment("spare", 2, "2"))
            await cluster.until(lambda: sum("nodeName" in p["spec"] for p in cluster.pods()) == 4)
            await cluster.until(lambda: dig(cluster.get(BUDGET, "kept"), "status", "currentHealthy") == 2)
            victims: list[Object] = []
            cluster.watch(POD, lambda _, after: victims.append(after.object) if _is_going(after) else None)
            await cluster.apply(pod("vip", "2", priorityClassName="high"))
            await cluster.until(lambda: node_of(cluster, "vip") != "")
            assert {victim["metadata"]["labels"]["app"] for victim in victims} == {"spare"}
            target = condition_of(victims[0], "DisruptionTarget")
            assert target is not None
            assert (target["reason"], target["message"]) == (
                "PreemptionByScheduler",
                "default-scheduler: preempting to accommodate a higher priority pod",
            )
            assert told(cluster, victims[0]["metadata"]["name"], "Preempted") == 1
            assert "nominatedNodeName" not in cluster.get(POD, "vip")["status"]

    run(scenario())


def _is_going(entry: Any) -> bool:
    return entry is not None and is_terminating(entry.object)


def test_each_pod_has_the_scheduler_that_it_names(keys: Path) -> None:
    packing = {"name": "NodeResourcesFit", "args": {"scoringStrategy": {"type": "MostAllocated"}}}
    config = {
        "apiVersion": "kubescheduler.config.k8s.io/v1",
        "kind": "KubeSchedulerConfiguration",
        "profiles": [{}, {"schedulerName": "packed", "pluginConfig": [packing]}],
    }

    async def scenario() -> None:
        async with running(keys, profiles=profiles(config)) as cluster:
            await cluster.apply(pod("nobody", "500m", schedulerName="mine"))
            for kind, scheduler, count in (("packed", "packed", 1), ("spread", "default-scheduler", 2)):
                for number in range(3):
                    await cluster.apply(pod(f"{kind}-{number}", "500m", schedulerName=scheduler))
                names = [f"{kind}-{number}" for number in range(3)]
                await cluster.until(lambda names=names: all(node_of(cluster, name) for name in names))
                assert len({node_of(cluster, name) for name in names}) == count
            await asyncio.sleep(60)
            assert node_of(cluster, "nobody") == ""

    run(scenario())


def test_a_gate_keeps_a_pod_out_until_it_is_lifted(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            await cluster.apply(pod("gated", schedulingGates=[{"name": "example.com/wait"}]))
            await asyncio.sleep(600)
            assert reason_of(cluster, "gated") == "SchedulingGated"
            assert told(cluster, "gated") == 0
            await cluster.patch(POD, "gated", {"spec": {"schedulingGates": []}})
            await cluster.until(lambda: node_of(cluster, "gated") != "", seconds=5)

    run(scenario())


def test_a_change_wakes_whom_it_may_help_and_nobody_else(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            invariants.one_place(cluster)
            await cluster.apply(pod("first", "3"))
            await cluster.until(lambda: node_of(cluster, "first") != "")
            await cluster.apply(pod("large", "2"))
            await cluster.apply(pod("picky", "500m", nodeSelector={"disk": "ssd"}))
            await cluster.apply(pod("lonely", "500m", affinity=_near("nobody")))
            waiting = ("large", "picky", "lonely")
            await cluster.until(lambda: all(reason_of(cluster, name) == "Unschedulable" for name in waiting))
            await asyncio.sleep(20)
            tried = {name: told(cluster, name) for name in waiting}
            await cluster.client.delete(POD, Key("default", "first"), grace_seconds=0)
            await cluster.until(lambda: node_of(cluster, "large") != "", seconds=5)
            await asyncio.sleep(20)
            assert [told(cluster, name) for name in ("picky", "lonely")] == [tried["picky"], tried["lonely"]]
            await cluster.patch(NODE, "node-0", {"metadata": {"labels": {"disk": "ssd"}}}, "")
            await cluster.until(lambda: node_of(cluster, "picky") != "", seconds=5)
            await asyncio.sleep(20)
            assert told(cluster, "lonely") == tried["lonely"]
            await cluster.apply(pod("friend", "100m", labels={"app": "nobody"}))
            await cluster.until(lambda: node_of(cluster, "lonely") != "", seconds=5)

    run(scenario())


def _near(app: str) -> Object:
    term = {"labelSelector": {"matchLabels": {"app": app}}, "topologyKey": "kubernetes.io/hostname"}
    return {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}


def test_a_pod_nobody_can_help_is_tried_every_five_minutes(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            await cluster.apply(pod("huge", "100"))
            await asyncio.sleep(3600)
            assert 12 <= told(cluster, "huge") <= 14

    run(scenario())


def test_what_is_wrong_with_one_pod_holds_up_no_other(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(wanted: Pending, *args: Any) -> Any:
        if wanted.key.name == "broken":
            raise RuntimeError("a bug")
        return decide(wanted, *args)

    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            monkeypatch.setattr(loop, "decide", broken)
            await cluster.apply(pod("broken"))
            await cluster.apply(pod("fine"))
            await cluster.until(lambda: node_of(cluster, "fine") != "", seconds=5)
            monkeypatch.setattr(loop, "decide", decide)
            await cluster.until(lambda: node_of(cluster, "broken") != "", seconds=30)

    run(scenario())


def test_a_binding_that_fails_gives_the_place_back_and_is_tried_again(
    keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bind, refusals = Writer.bind, 3

    async def refusing(self: Writer, key: Key, uid: str, node: str) -> None:
        nonlocal refusals
        if key.name == "unlucky" and refusals:
            refusals -= 1
            raise Conflict("", "pods/binding", key.name, "not now")
        await bind(self, key, uid, node)

    monkeypatch.setattr(Writer, "bind", refusing)

    async def scenario() -> None:
        async with running(keys, nodes=1) as cluster:
            invariants.one_place(cluster)
            await cluster.apply(pod("unlucky", "3"))
            await cluster.until(lambda: reason_of(cluster, "unlucky") == "SchedulerError", seconds=5)
            began = cluster.clock.monotonic()
            await cluster.until(lambda: node_of(cluster, "unlucky") != "", seconds=30)
            assert cluster.clock.monotonic() - began > 3, "it backs off"

    run(scenario())


def test_zones_stay_even_when_one_is_lost(keys: Path) -> None:
    spread = {
        "maxSkew": 1,
        "topologyKey": _ZONE,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
        "nodeTaintsPolicy": "Honor",
    }

    async def scenario() -> None:
        async with running(keys, nodes=6) as cluster:
            invariants.one_place(cluster)
            await cluster.apply(deployment("web", 9, "100m", topologySpreadConstraints=[spread]))
            await cluster.until(lambda: sorted(_by_zone(cluster).values()) == [3, 3, 3])
            for name in ("node-2", "node-5"):
                await cluster.stop_node(name)
            await cluster.until(
                lambda: sorted((_by_zone(cluster) - Counter({"zone-2": 9})).values()) == [4, 5], seconds=1200
            )

    run(scenario())


def _by_zone(cluster: Cluster) -> Counter[str]:
    zones = {key.name: entry.labels[_ZONE] for key, entry in cluster.tables[NODE].entries.items()}
    placed = [p for p in cluster.pods() if "nodeName" in p["spec"] and not is_terminating(p)]
    return Counter(zones[p["spec"]["nodeName"]] for p in placed)


def test_a_claim_waits_for_its_pod_and_takes_it_to_its_volume(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            await cluster.apply(
                {
                    "apiVersion": "storage.k8s.io/v1",
                    "kind": "StorageClass",
                    "metadata": {"name": "local"},
                    "provisioner": "kubernetes.io/no-provisioner",
                    "volumeBindingMode": "WaitForFirstConsumer",
                }
            )
            claim = {"accessModes": ["ReadWriteOnce"], "storageClassName": "local"}
            claim |= {"resources": {"requests": {"storage": "1Gi"}}}
            meta = {"name": "data", "namespace": "default"}
            await cluster.apply({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": meta, "spec": claim})
            volumes = [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]
            await cluster.apply(pod("user", volumes=volumes))
            await cluster.until(lambda: reason_of(cluster, "user") == "Unschedulable")
            said = condition_of(cluster.get(POD, "user"), "PodScheduled")
            assert said is not None
            assert said["message"].startswith(
                "0/3 nodes are available: 3 node(s) didn't find available persistent volumes to bind. "
                "no new claims to deallocate, preemption: "
                "0/3 nodes are available: 3 Preemption is not helpful for scheduling."
            )
            await cluster.apply(_local_volume("node-1"))
            await cluster.until(lambda: node_of(cluster, "user") == "node-1", seconds=30)
            assert dig(cluster.get(CLAIM, "data"), "status", "phase") == "Bound"

    run(scenario())


def _local_volume(node: str) -> Object:
    expression = {"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": "local",
        "local": {"path": "/data"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}},
    }
    return {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "disk"}, "spec": spec}


@pytest.mark.parametrize("seed", range(5))
def test_no_node_is_ever_over_its_room(keys: Path, seed: int) -> None:
    """Pods of any size and rank come and go, nodes shrink and vanish, and the scheduler is restarted."""

    async def scenario() -> None:
        async with running(keys, seed=seed, nodes=4) as cluster:
            invariants.one_place(cluster)
            chance = cluster.random
            for value in (10, 100):
                await cluster.apply(priority(f"p{value}", value))
            for number in range(60):
                spec: Object = {"priorityClassName": chance.choice(["p10", "p100"])} if chance.random() < 0.5 else {}
                if chance.random() < 0.2:
                    spec["affinity"] = _near("web")
                name = f"pod-{number}"
                await cluster.apply(
                    pod(name, chance.choice(["100m", "700m", "1500m", "3"]), labels={"app": "web"}, **spec)
                )
                await asyncio.sleep(chance.choice([0.0, 0.0, 0.3, 5.0]))
                if chance.random() < 0.3:
                    victim = chance.choice(sorted(key.name for key in cluster.tables[POD].entries))
                    await cluster.client.delete(POD, Key("default", victim))
                if chance.random() < 0.05:
                    await cluster.restart()
            await asyncio.sleep(400)
            waiting = [p for p in cluster.pods() if "nodeName" not in p["spec"]]
            assert all((condition_of(p, "PodScheduled") or {}).get("reason") == "Unschedulable" for p in waiting)

    run(scenario())
