from __future__ import annotations

from typing import Any

import pytest

from pylet.server.scheduler.decide import Placement, Unschedulable, decide
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins import PROFILE
from tests.server.scheduler.kit import node, placed, pod, pod_object, snapshot_of

TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
SOFT = {**TAINT, "effect": "PreferNoSchedule"}
WEST = {"nodeSelectorTerms": [{"matchExpressions": [{"key": "zone", "operator": "In", "values": ["west"]}]}]}
REQUIRED = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": WEST}}
PREFERRED = {
    "nodeAffinity": {
        "preferredDuringSchedulingIgnoredDuringExecution": [
            {"weight": 10, "preference": WEST["nodeSelectorTerms"][0]},
        ]
    }
}
PORT = {"ports": [{"containerPort": 80, "hostPort": 80}]}
UDP = {"ports": [{"containerPort": 80, "hostPort": 80, "protocol": "UDP"}]}


def named(*names: str) -> dict[str, Any]:
    field = {"key": "metadata.name", "operator": "In", "values": list(names)}
    required = {"nodeSelectorTerms": [{"matchFields": [field]}]}
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}}


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
            "0/1 nodes are available: 1 node(s) had untolerated taint(s).",
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
        pytest.param(
            pod(cpu="5", affinity=named("a")),
            [node("a"), node("b"), node("c")],
            "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) didn't satisfy plugin(s) [NodeAffinity].",
            id="only the named node is looked at",
        ),
        pytest.param(
            pod(affinity=named()),
            [node("a")],
            "0/1 nodes are available: pod affinity terms conflict.",
            id="names that exclude each other",
        ),
    ],
)
def test_a_pod_that_fits_nowhere_is_told_why(wanted: Pending, nodes: list[Any], words: str) -> None:
    assert placed(wanted, *nodes) == words


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
        pytest.param(pod(), [node("a", taints=[SOFT]), node("b")], {}, "b", id="rather without a soft taint"),
        pytest.param(
            pod(tolerations=[{"key": "gpu", "operator": "Exists"}]),
            [node("a", taints=[SOFT]), node("b")],
            {},
            "a",
            id="a soft taint it tolerates does not matter",
        ),
        pytest.param(
            pod(affinity=REQUIRED), [node("a"), node("b", labels={"zone": "west"})], {}, "b", id="required affinity"
        ),
        pytest.param(
            pod(affinity=PREFERRED), [node("a"), node("b", labels={"zone": "west"})], {}, "b", id="preferred affinity"
        ),
        pytest.param(pod(affinity=named("b")), [node("a"), node("b")], {}, "b", id="the node it names"),
        pytest.param(pod(), [node("a", cpu="2"), node("b", cpu="8")], {}, "b", id="rather where most is left"),
        pytest.param(
            pod(container=PORT),
            [node("a"), node("b")],
            {"a": [pod("x", container=PORT)]},
            "b",
            id="where the port is free",
        ),
        pytest.param(
            pod(container=PORT),
            [node("a")],
            {"a": [pod("x", container=UDP)]},
            "a",
            id="a port of another protocol is another port",
        ),
        pytest.param(
            pod(cpu="3"), [node("a"), node("b")], {"a": [pod("x", cpu="2")]}, "b", id="where what runs leaves room"
        ),
        pytest.param(
            pod(status={"nominatedNodeName": "b"}),
            [node("a", cpu="8"), node("b")],
            {},
            "b",
            id="the node that was cleared for it",
        ),
    ],
)
def test_a_pod_goes(wanted: Pending, nodes: list[Any], running: Any, expected: str) -> None:
    assert placed(wanted, *nodes, running=running) == expected


def test_a_pod_that_left_takes_nothing_any_more() -> None:
    big = pod("big", cpu="4")
    snapshot = snapshot_of([node("a")], {"a": [big]})
    assert isinstance(decide(pod(), snapshot, PROFILE), Unschedulable)
    snapshot.remove_pod(big.uid)
    assert decide(pod(), snapshot, PROFILE) == Placement("a", 1)


def test_a_pod_that_will_come_counts_for_those_that_matter_no_more() -> None:
    snapshot = snapshot_of([node("a", cpu="4")])
    snapshot.nominate(pod("coming", cpu="4", priority=5), "a")
    refused = decide(pod(priority=5), snapshot, PROFILE)
    assert isinstance(refused, Unschedulable)
    assert refused.message == "0/1 nodes are available: 1 Insufficient cpu."
    assert decide(pod(priority=6), snapshot, PROFILE) == Placement("a", 1)
    assert snapshot.nodes["a"].requested.get("cpu", 0) == 0, "supposing leaves no trace"


def test_equal_nodes_take_turns() -> None:
    snapshot = snapshot_of([node("a"), node("b"), node("c")])
    assert [decide(pod(), snapshot, PROFILE, turn=turn).node for turn in range(4)] == ["a", "b", "c", "a"]  # type: ignore[union-attr]


def test_of_many_nodes_a_share_is_looked_at() -> None:
    snapshot = snapshot_of([node(f"n{number}") for number in range(1000)])
    found = decide(pod(), snapshot, PROFILE, start=990)
    assert isinstance(found, Placement)
    assert found.examined == 420
    assert found.node == "n990"


def test_zones_take_turns_in_the_order_of_nodes() -> None:
    zone = "topology.kubernetes.io/zone"
    nodes = [node(f"{name}{number}", labels={zone: name}) for name in "ab" for number in range(3)]
    assert [each.name for each in snapshot_of(nodes).ordered()] == ["a0", "b0", "a1", "b1", "a2", "b2"]


@pytest.mark.parametrize(
    ("asked", "cpu"),
    [
        pytest.param({}, 1000, id="a container"),
        pytest.param({"overhead": {"cpu": "250m"}}, 1250, id="with overhead"),
        pytest.param(
            {"initContainers": [{"name": "i", "resources": {"requests": {"cpu": "3"}}}]}, 3000, id="a larger init step"
        ),
        pytest.param(
            {
                "initContainers": [
                    {"name": "s", "restartPolicy": "Always", "resources": {"requests": {"cpu": "2"}}},
                    {"name": "i", "resources": {"requests": {"cpu": "2"}}},
                ]
            },
            4000,
            id="an init step beside a sidecar",
        ),
        pytest.param({"resources": {"requests": {"cpu": "700m"}}}, 700, id="the pod's own requests"),
    ],
)
def test_a_pod_counts_for(asked: Any, cpu: int) -> None:
    assert pod(**asked).requests["cpu"] == cpu


@pytest.mark.parametrize(
    ("reason", "cpu"), [pytest.param("Deferred", 2000, id="waits"), pytest.param("Infeasible", 1500, id="cannot be")]
)
def test_a_resized_pod_counts_for_the_most_of_what_it_asks_and_holds(reason: str, cpu: int) -> None:
    status = {
        "conditions": [{"type": "PodResizePending", "status": "True", "reason": reason}],
        "containerStatuses": [
            {
                "name": "c",
                "resources": {"requests": {"cpu": "1"}},
                "allocatedResources": {"cpu": "1500m"},
            }
        ],
    }
    assert Pending(pod_object(cpu="2", status=status)).requests["cpu"] == cpu
