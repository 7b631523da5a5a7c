from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.server.scheduler.decide import Change
from pylet.server.scheduler.plugins import inter_pod_affinity
from tests.server.scheduler.kit import HOST, ZONE, node, placed, pod, pod_object, snapshot_of

REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"
DB, WEB = {"app": "db"}, {"app": "web"}
NODES = [node("a", labels={ZONE: "x"}), node("b", labels={ZONE: "x"}), node("c", labels={ZONE: "y"})]
FAR = "node(s) didn't match pod affinity rules"
NEAR = "node(s) didn't match pod anti-affinity rules"
UNWANTED = "node(s) didn't satisfy existing pods anti-affinity rules"
TEAM = {
    "apiVersion": "v1",
    "kind": "Namespace",
    "metadata": {"name": "team", "labels": {"kind": "team"}},
}


def term(labels: Any, key: str = HOST, **more: Any) -> dict[str, Any]:
    return {"labelSelector": {"matchLabels": labels}, "topologyKey": key, **more}


def near(*terms: Any) -> dict[str, Any]:
    return {"affinity": {"podAffinity": {REQUIRED: list(terms)}}}


def apart(*terms: Any) -> dict[str, Any]:
    return {"affinity": {"podAntiAffinity": {REQUIRED: list(terms)}}}


def wishes(kind: str, weight: int, each: Any) -> dict[str, Any]:
    return {"affinity": {kind: {PREFERRED: [{"weight": weight, "podAffinityTerm": each}]}}}


def db(**asked: Any) -> Any:
    return pod("db", cpu="0", labels=DB, **asked)


@pytest.mark.parametrize(
    ("wanted", "running", "expected"),
    [
        pytest.param(pod(**near(term(DB))), {"b": [db()]}, "b", id="on the node of another"),
        pytest.param(pod(cpu="4", **near(term(DB, ZONE))), {"c": [db()]}, "c", id="in the zone of another"),
        pytest.param(pod(**near(term(DB))), {}, f"0/3 nodes are available: 3 {FAR}.", id="nowhere without the other"),
        pytest.param(
            pod(labels=DB, **near(term(DB), term(WEB))),
            {"a": [db()]},
            f"0/3 nodes are available: 3 {FAR}.",
            id="one that all terms speak of",
        ),
        pytest.param(pod(labels=WEB, **near(term(WEB, ZONE))), {}, "a", id="the first of its kind may start"),
        pytest.param(
            pod(**near(term(DB, namespaces=["team"]))),
            {"b": [db(namespace="team")], "c": [pod("d", cpu="0", labels=DB)]},
            "b",
            id="in a namespace by name",
        ),
        pytest.param(
            pod(**near(term(DB, namespaceSelector={"matchLabels": {"kind": "team"}}))),
            {"b": [db(namespace="team")], "c": [pod("d", cpu="0", labels=DB)]},
            "b",
            id="in a namespace by its labels",
        ),
        pytest.param(
            pod(**near(term(DB, namespaceSelector={}))), {"b": [db(namespace="any")]}, "b", id="in any namespace"
        ),
        pytest.param(
            pod(labels={"v": "1"}, **near(term(DB, matchLabelKeys=["v"]))),
            {"a": [pod("o", cpu="0", labels={**DB, "v": "2"})], "b": [pod("n", cpu="0", labels={**DB, "v": "1"})]},
            "b",
            id="of the same version",
        ),
        pytest.param(pod(**apart(term(DB, ZONE))), {"a": [db()]}, "c", id="not in the zone of another"),
        pytest.param(
            pod(**apart(term(DB))),
            {name: [pod(f"db-{name}", cpu="0", labels=DB)] for name in "abc"},
            f"0/3 nodes are available: 3 {NEAR}.",
            id="apart from all",
        ),
        pytest.param(
            pod(labels=WEB), {"a": [db(**apart(term(WEB, ZONE)))]}, "c", id="not where another wants it apart"
        ),
        pytest.param(
            pod(labels=WEB, nodeSelector={ZONE: "x"}),
            {"a": [db(**apart(term(WEB, ZONE)))]},
            f"0/3 nodes are available: 1 node(s) didn't match Pod's node affinity/selector, 2 {UNWANTED}.",
            id="and told so",
        ),
        pytest.param(pod(**wishes("podAffinity", 10, term(DB))), {"b": [db()]}, "b", id="rather near another"),
        pytest.param(
            pod(**wishes("podAntiAffinity", 10, term(DB, ZONE))), {"a": [db()]}, "c", id="rather apart from another"
        ),
        pytest.param(
            pod(labels=WEB), {"b": [db(**wishes("podAffinity", 10, term(WEB)))]}, "b", id="where another likes it"
        ),
        pytest.param(pod(labels=WEB), {"c": [db(**near(term(WEB)))]}, "c", id="where another that needs its kind runs"),
    ],
)
def test_a_pod_among_others_goes(wanted: Any, running: Any, expected: str) -> None:
    assert placed(wanted, *NODES, running=running, objects=[TEAM]) == expected


def test_counts_follow_pods_and_labels() -> None:
    snapshot = snapshot_of(NODES, {"a": [db()]})
    wanted = pod(**apart(term(DB, ZONE)))

    def refused() -> list[str]:
        check = inter_pod_affinity.PLUGIN.filter(wanted, snapshot)
        assert check is not None
        return [name for name, each in snapshot.nodes.items() if check(each) is not None]

    assert refused() == ["a", "b"]
    snapshot.put_node(node("c", labels={ZONE: "x"}))
    assert refused() == ["a", "b", "c"]
    snapshot.put_pod(pod("db2", cpu="0", labels=DB), "c")
    snapshot.remove_pod("uid-db")
    snapshot.put_node(node("c", labels={ZONE: "y"}))
    assert refused() == ["c"]


@pytest.mark.parametrize(
    ("wanted", "change", "helps"),
    [
        pytest.param(
            pod(**near(term(DB))), Change(POD, None, pod_object("d", labels=DB, nodeName="a")), True, id="it came"
        ),
        pytest.param(
            pod(**near(term(DB))),
            Change(POD, None, pod_object("w", labels=WEB, nodeName="a")),
            False,
            id="another",
        ),
        pytest.param(
            pod(**near(term(DB))), Change(POD, pod_object("d", labels=DB, nodeName="a"), None), False, id="it left"
        ),
        pytest.param(
            pod(**apart(term(DB))), Change(POD, pod_object("d", labels=DB, nodeName="a"), None), True, id="that left"
        ),
        pytest.param(
            pod(labels=WEB),
            Change(POD, pod_object("d", nodeName="a", **apart(term(WEB))), None),
            True,
            id="one that wanted it apart left",
        ),
        pytest.param(pod(**near(term(DB, ZONE))), Change(NODE, None, NODES[0]), True, id="a node of the topology"),
        pytest.param(pod(**near(term(DB, "rack"))), Change(NODE, None, NODES[0]), False, id="a node without it"),
    ],
)
def test_who_is_tried_again(wanted: Any, change: Change, helps: bool) -> None:
    assert inter_pod_affinity.PLUGIN.may_help(wanted, change, snapshot_of([])) is helps
