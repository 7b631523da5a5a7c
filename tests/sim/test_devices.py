"""Pods that claim devices: from a template to a device and back, through registry, controllers and scheduler."""

from __future__ import annotations

from pathlib import Path

import pytest

from pylet.api.errors import Conflict
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.kinds.resourceclaimtemplate import KIND as TEMPLATE
from pylet.api.object import Key, Object, condition_of, dig
from pylet.server.scheduler.acting import Writer
from tests.server.scheduler.devices import claim, device, device_class, request, slice_of
from tests.sim.cluster import Cluster, running
from tests.sim.test_scheduling import node_of, pod, reason_of, told
from tests.sim.virtual import run

ONE = slice_of(device("only"), nodeName="node-1")


def template() -> Object:
    meta = {"name": "one", "namespace": "default"}
    spec = {"spec": claim(request())["spec"]}
    return {"apiVersion": TEMPLATE.api_version, "kind": TEMPLATE.name, "metadata": meta, "spec": spec}


def user(name: str, **source: str) -> Object:
    return pod(name, resourceClaims=[{"name": "gpu", **(source or {"resourceClaimTemplateName": "one"})}])


def claims(cluster: Cluster) -> list[Object]:
    return cluster.view.select(CLAIM)


def holders(cluster: Cluster) -> list[str]:
    return sorted(h["name"] for each in claims(cluster) for h in dig(each, "status", "reservedFor", default=()))


def test_a_device_goes_from_one_pod_to_the_next(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            await cluster.apply(user("first"))
            await cluster.clock.sleep(5)
            assert reason_of(cluster, "first") == "", "nobody is told of a claim that is still to be made"
            for each in (template(), device_class()):
                await cluster.apply(each)
            await cluster.until(lambda: reason_of(cluster, "first") == "Unschedulable", seconds=60)
            said = condition_of(cluster.get(POD, "first"), "PodScheduled") or {}
            assert said["message"].startswith(
                "0/3 nodes are available: 3 cannot allocate all claims. still not schedulable, preemption: "
            )
            await cluster.apply(ONE)
            await cluster.until(lambda: node_of(cluster, "first") == "node-1", seconds=30)
            assert holders(cluster) == ["first"]
            await cluster.apply(user("second"))
            await cluster.until(lambda: reason_of(cluster, "second") == "Unschedulable")
            await cluster.client.delete(POD, Key("default", "first"))
            await cluster.until(lambda: node_of(cluster, "second") == "node-1", seconds=30)
            assert holders(cluster) == ["second"]
            await cluster.client.delete(POD, Key("default", "second"))
            await cluster.until(lambda: not claims(cluster), seconds=30)

    run(scenario())


def test_pods_share_a_claim(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            for each in (device_class(), ONE, claim(request(), name="shared")):
                await cluster.apply(each)
            for name in ("a", "b", "c"):
                await cluster.apply(user(name, resourceClaimName="shared"))
            await cluster.until(lambda: all(node_of(cluster, n) == "node-1" for n in "abc"), seconds=60)
            assert holders(cluster) == ["a", "b", "c"]
            for name in ("a", "b", "c"):
                await cluster.client.delete(POD, Key("default", name))
            await cluster.until(lambda: holders(cluster) == [], seconds=30)
            (left,) = claims(cluster)
            assert "allocation" not in (left.get("status") or {}), "who nobody holds is free"
            assert not left["metadata"].get("finalizers")

    run(scenario())


def test_a_pod_that_could_not_be_bound_gives_its_device_back(keys: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bind = Writer.bind

    async def refuse(self: Writer, key: Key, uid: str, node: str) -> None:
        if key.name == "unlucky":
            raise Conflict("pods", key.name, "no")
        await bind(self, key, uid, node)

    monkeypatch.setattr(Writer, "bind", refuse)

    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            for each in (device_class(), ONE, template(), user("unlucky")):
                await cluster.apply(each)
            await cluster.until(lambda: told(cluster, "unlucky") > 0, seconds=30)
            await cluster.until(lambda: holders(cluster) == [], seconds=30)
            await cluster.client.delete(POD, Key("default", "unlucky"))
            await cluster.apply(user("lucky"))
            await cluster.until(lambda: node_of(cluster, "lucky") == "node-1", seconds=60)

    run(scenario())


def test_an_idle_claim_leaves_the_node_that_does_not_take_its_pod(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            other = slice_of(device("other"), name="t", pool="q", nodeName="node-2")
            for each in (device_class(), ONE, claim(request(), name="shared")):
                await cluster.apply(each)
            await cluster.apply(user("a", resourceClaimName="shared"))
            await cluster.until(lambda: node_of(cluster, "a") == "node-1", seconds=30)
            await cluster.apply(other)
            made = user("b", resourceClaimName="shared")
            made["spec"]["nodeSelector"] = {"kubernetes.io/hostname": "node-2"}
            await cluster.apply(made)
            await cluster.until(lambda: reason_of(cluster, "b") == "Unschedulable")
            await cluster.client.delete(POD, Key("default", "a"))
            await cluster.until(lambda: node_of(cluster, "b") == "node-2", seconds=60)

    run(scenario())


def test_a_device_is_waited_for_until_it_is_ready(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=3) as cluster:
            slow = device("slow", bindingConditions=["ready"], bindingFailureConditions=["failed"])
            for each in (device_class(), slice_of(slow, nodeName="node-1"), claim(request(), name="c")):
                await cluster.apply(each)
            await cluster.apply(user("p", resourceClaimName="c"))
            await cluster.until(lambda: told(cluster, "p", "BindingConditionsPending") > 0, seconds=30)
            assert node_of(cluster, "p") == ""
            found = cluster.get(CLAIM, "c")
            ready = {
                "type": "ready",
                "status": "True",
                "reason": "r",
                "message": "",
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            of = {"driver": "dra.example.com", "pool": "p", "device": "slow", "conditions": [ready]}
            await cluster.client.update(
                CLAIM, {**found, "status": {**found["status"], "devices": [of]}}, subresource="status"
            )
            await cluster.until(lambda: node_of(cluster, "p") == "node-1", seconds=10)

    run(scenario())
