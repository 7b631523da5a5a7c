from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.pod import KIND as POD
from pylet.server.scheduler.decide import Change
from pylet.server.scheduler.plugins import pod_topology_spread
from tests.server.scheduler.kit import HOST, ZONE, node, placed, pod, pod_object, snapshot_of

WEB = {"matchLabels": {"app": "web"}}
LABELS = {"app": "web"}
SKEWED = "node(s) didn't match pod topology spread constraints"
TAINT = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}


def spread(key: str = ZONE, skew: int = 1, when: str = "DoNotSchedule", **more: Any) -> dict[str, Any]:
    return {"topologyKey": key, "maxSkew": skew, "whenUnsatisfiable": when, "labelSelector": WEB, **more}


def web(*constraints: Any, **asked: Any) -> Any:
    return pod(labels={**LABELS, **asked.pop("more_labels", {})}, topologySpreadConstraints=list(constraints), **asked)


def zones(*names: str, **spec: Any) -> list[Any]:
    return [node(f"n{at}", labels={ZONE: name}, **spec) for at, name in enumerate(names)]


def running(**counts: int) -> dict[str, list[Any]]:
    return {
        name: [pod(f"{name}-{number}", cpu="0", labels=LABELS) for number in range(count)]
        for name, count in counts.items()
    }


@pytest.mark.parametrize(
    ("wanted", "nodes", "there", "expected"),
    [
        pytest.param(web(spread()), zones("a", "b"), running(n0=1), "n1", id="the zone with fewer"),
        pytest.param(
            web(spread()),
            [*zones("a", "b"), node("bare")],
            running(n0=1, n1=0),
            "n1",
            id="a node without the label is no place",
        ),
        pytest.param(
            web(spread(minDomains=3)),
            zones("a", "b"),
            running(n0=1, n1=1),
            f"0/2 nodes are available: 2 {SKEWED}.",
            id="too few domains count as an empty one",
        ),
        pytest.param(
            web(spread(), nodeSelector={HOST: "n0"}),
            zones("a", "b"),
            running(n0=1),
            "n0",
            id="zones it cannot reach do not count",
        ),
        pytest.param(
            web(spread(nodeAffinityPolicy="Ignore"), nodeSelector={HOST: "n0"}),
            zones("a", "b"),
            running(n0=1),
            f"0/2 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 1 {SKEWED}.",
            id="unless it says so",
        ),
        pytest.param(
            web(spread()),
            [node("n0", labels={ZONE: "a"}), node("n1", labels={ZONE: "b"}, taints=[TAINT])],
            running(n0=1),
            f"0/2 nodes are available: 1 {SKEWED}, 1 node(s) had untolerated taint(s).",
            id="tainted zones count",
        ),
        pytest.param(
            web(spread(nodeTaintsPolicy="Honor")),
            [node("n0", labels={ZONE: "a"}), node("n1", labels={ZONE: "b"}, taints=[TAINT])],
            running(n0=1),
            "n0",
            id="unless taints are honoured",
        ),
        pytest.param(
            web(spread(matchLabelKeys=["v"]), more_labels={"v": "2"}),
            zones("a"),
            running(n0=3),
            "n0",
            id="other versions do not count",
        ),
        pytest.param(
            web(spread(), spread(HOST)),
            zones("a", "a", "b"),
            running(n0=1, n2=1),
            "n1",
            id="zones and hosts together",
        ),
        pytest.param(
            web(spread(when="ScheduleAnyway")), zones("a", "b"), running(n0=3), "n1", id="softly, the zone with fewer"
        ),
        pytest.param(
            web(spread(when="ScheduleAnyway"), nodeSelector={HOST: "n0"}),
            zones("a", "b"),
            running(n0=3),
            "n0",
            id="softly, anywhere if need be",
        ),
        pytest.param(
            web(spread()),
            [node("bare")],
            {},
            f"0/1 nodes are available: 1 {SKEWED} (missing required label).",
            id="no domain at all",
        ),
    ],
)
def test_pods_stand_apart(wanted: Any, nodes: list[Any], there: Any, expected: str) -> None:
    assert placed(wanted, *nodes, running=there) == expected


REPLICA_SET = {
    "apiVersion": "apps/v1",
    "kind": "ReplicaSet",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": WEB},
}
SERVICE = {
    "apiVersion": "v1",
    "kind": "Service",
    "metadata": {"name": "web", "namespace": "default"},
    "spec": {"selector": LABELS},
}


@pytest.mark.parametrize(
    ("wanted", "objects"),
    [
        pytest.param(pod(labels=LABELS, owner=REPLICA_SET), [REPLICA_SET], id="of a workload"),
        pytest.param(pod(labels=LABELS), [SERVICE], id="behind a service"),
    ],
)
def test_siblings_are_spread_without_asking(wanted: Any, objects: list[Any]) -> None:
    nodes = [node(name, cpu="64") for name in "abc"]
    assert placed(wanted, *nodes, running=running(a=2, b=2), objects=objects) == "c"


def test_terminating_pods_do_not_count() -> None:
    going = pod("going", cpu="0", labels=LABELS)
    going.is_terminating = True
    assert placed(web(spread()), *zones("a", "b"), running={"n0": [going], **running(n1=1)}) == "n0"


@pytest.mark.parametrize(
    ("labels", "namespace", "helps"),
    [
        pytest.param(LABELS, "default", True, id="one that counted left"),
        pytest.param({"app": "other"}, "default", False, id="one that did not count left"),
        pytest.param(LABELS, "elsewhere", False, id="one of another namespace left"),
    ],
)
def test_who_is_tried_again(labels: Any, namespace: str, helps: bool) -> None:
    gone = pod_object("gone", labels=labels, namespace=namespace, nodeName="n0")
    found = pod_topology_spread.PLUGIN.may_help(web(spread()), Change(POD, gone, None), snapshot_of([]))
    assert found is helps
