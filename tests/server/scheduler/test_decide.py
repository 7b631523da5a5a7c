from __future__ import annotations

from typing import Any

import pytest

from pylet.server.scheduler.decide import Placement, Unschedulable, decide
from pylet.server.scheduler.model import PodInfo, Snapshot
from pylet.server.scheduler.plugins import PROFILE


def node(name: str, *, cpu: str = "4", pods: str = "110", **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "labels": {"kubernetes.io/hostname": name, **spec.pop("labels", {})}},
        "spec": spec,
        "status": {"allocatable": {"cpu": cpu, "memory": "8Gi", "pods": pods}},
    }


def pod(name: str = "p", *, cpu: str = "1", **spec: Any) -> PodInfo:
    container: dict[str, Any] = {"name": "c", "resources": {"requests": {"cpu": cpu}}}
    container |= spec.pop("container", {})
    owners = [{"uid": "owner", "kind": "ReplicaSet", "name": "rs", "controller": True}]
    return PodInfo(
        {
            "metadata": {"name": name, "namespace": "default", "uid": f"uid-{name}", "ownerReferences": owners},
            "spec": {"containers": [container], **spec},
        }
    )


def placed(wanted: PodInfo, *nodes: dict[str, Any], running: dict[str, list[PodInfo]] | None = None) -> Any:
    snapshot = Snapshot()
    for each in nodes:
        snapshot.put_node(each)
    for name, pods in (running or {}).items():
        for each_pod in pods:
            snapshot.put_pod(each_pod, name)
    return decide(wanted, snapshot, PROFILE)


TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
WEST = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["west"]}]}]}
REQUIRED = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": WEST}}
PORT = {"ports": [{"containerPort": 80, "hostPort": 80}]}


@pytest.mark.parametrize(
    ("wanted", "nodes", "words"),
    [
        pytest.param(pod(), [], "no nodes available to schedule pods", id="no node at all"),
        pytest.param(pod(cpu="5"), [node("a")], "0/1 nodes are available: 1 Insufficient cpu.", id="too little cpu"),
        pytest.param(pod(), [node("a", pods="0")], "0/1 nodes are available: 1 Too many pods.", id="too many pods"),
        pytest.param(
            pod(),
            [node("a", unschedulable=True)],
            "0/1 nodes are available: 1 node(s) were unschedulable.",
            id="cordoned",
        ),
        pytest.param(
            pod(),
            [node("a", taints=[TAINT])],
            "0/1 nodes are available: 1 node(s) had untolerated taint {gpu: yes}.",
            id="tainted",
        ),
        pytest.param(
            pod(nodeSelector={"disk": "ssd"}),
            [node("a"), node("b")],
            "0/2 nodes are available: 2 node(s) didn't match Pod's node affinity/selector.",
            id="selector",
        ),
        pytest.param(
            pod(affinity=REQUIRED),
            [node("a", labels={"zone": "east"}), node("b", cpu="0", labels={"zone": "west"})],
            "0/2 nodes are available: 1 Insufficient cpu, 1 node(s) didn't match Pod's node affinity/selector.",
            id="each node for its own reason",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why(wanted: PodInfo, nodes: list[dict[str, Any]], words: str) -> None:
    refused = placed(wanted, *nodes)
    assert isinstance(refused, Unschedulable)
    assert refused.message == words


@pytest.mark.parametrize(
    ("wanted", "nodes", "running", "expected"),
    [
        pytest.param(
            pod(tolerations=[{"key": "gpu", "operator": "Exists"}]),
            [node("a", taints=[TAINT])],
            {},
            "a",
            id="tolerates",
        ),
        pytest.param(
            pod(affinity=REQUIRED), [node("a"), node("b", labels={"zone": "west"})], {}, "b", id="required affinity"
        ),
        pytest.param(pod(), [node("a", cpu="2"), node("b", cpu="8")], {}, "b", id="rather where most is left"),
        pytest.param(pod(), [node("a"), node("b")], {"a": [pod("sibling")]}, "b", id="apart from its siblings"),
        pytest.param(
            pod(container=PORT),
            [node("a"), node("b")],
            {"a": [pod("x", container=PORT)]},
            "b",
            id="where the port is free",
        ),
        pytest.param(
            pod(cpu="3"), [node("a"), node("b")], {"a": [pod("x", cpu="2")]}, "b", id="where what runs leaves room"
        ),
    ],
)
def test_a_pod_goes(wanted: PodInfo, nodes: list[dict[str, Any]], running: Any, expected: str) -> None:
    assert placed(wanted, *nodes, running=running) == Placement(expected)


def test_a_pod_that_left_takes_nothing_any_more() -> None:
    snapshot = Snapshot()
    snapshot.put_node(node("a"))
    big = pod("big", cpu="4")
    snapshot.put_pod(big, "a")
    assert isinstance(decide(pod(), snapshot, PROFILE), Unschedulable)
    snapshot.remove_pod(big.uid)
    assert decide(pod(), snapshot, PROFILE) == Placement("a")
