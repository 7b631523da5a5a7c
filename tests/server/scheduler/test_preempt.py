from __future__ import annotations

from typing import Any

import pytest

from pylet.server.scheduler.decide import Unschedulable, decide
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.preempt import Preemption, Useless, preempt
from tests.server.scheduler.kit import HOST, node, pod, snapshot_of

USELESS = "Preemption is not helpful for scheduling"
NO_VICTIMS = "No preemption victims found for incoming pod"


def budget(allowed: int, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "b", "namespace": "default"},
        "spec": {"selector": {"matchLabels": labels}},
        "status": {"disruptionsAllowed": allowed},
    }


def low(name: str, cpu: str = "2", priority: int = 1, started: str = "", **asked: Any) -> Pending:
    return pod(name, cpu=cpu, priority=priority, status={"startTime": started} if started else None, **asked)


def preempted(wanted: Pending, nodes: list[Any], running: Any, objects: list[Any] | None = None) -> Any:
    snapshot = snapshot_of(nodes, running, objects)
    refused = decide(wanted, snapshot, PROFILE)
    assert isinstance(refused, Unschedulable)
    before = {name: (dict(info.requested), dict(info.pods), info.generation) for name, info in snapshot.nodes.items()}
    found = preempt(wanted, refused, snapshot, PROFILE)
    after = {name: (dict(info.requested), dict(info.pods), info.generation) for name, info in snapshot.nodes.items()}
    assert after == before, "trying leaves no trace"
    if isinstance(found, Preemption):
        return found.node, [victim.key.name for victim in found.victims]
    assert isinstance(found, Useless)
    return found.message


HIGH = pod(cpu="3", priority=10)
ANTI = {
    "podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [
            {"labelSelector": {"matchLabels": {"app": "db"}}, "topologyKey": HOST}
        ]
    }
}


@pytest.mark.parametrize(
    ("wanted", "nodes", "running", "objects", "expected"),
    [
        pytest.param(
            HIGH, [node("a")], {"a": [low("x"), low("y", priority=2)]}, [], ("a", ["y", "x"]), id="as many as it takes"
        ),
        pytest.param(
            pod(cpu="2", priority=10),
            [node("a")],
            {"a": [low("x"), low("y", priority=2)]},
            [],
            ("a", ["x"]),
            id="the least important first",
        ),
        pytest.param(
            pod(cpu="2", priority=10),
            [node("a")],
            {"a": [low("x", started="2026-01-01T00:00:00Z"), low("y", started="2026-01-01T01:00:00Z")]},
            [],
            ("a", ["y"]),
            id="of equals the youngest",
        ),
        pytest.param(
            pod(cpu="2", priority=10),
            [node("a"), node("b")],
            {
                "a": [low("x", labels={"app": "db"}), low("full", priority=10)],
                "b": [low("y", priority=5), low("fuller", priority=10)],
            },
            [budget(0, app="db")],
            ("b", ["y"]),
            id="rather no budget breached",
        ),
        pytest.param(
            pod(cpu="2", priority=10),
            [node("a")],
            {"a": [low("x", labels={"app": "db"}), low("y", priority=5)]},
            [budget(0, app="db")],
            ("a", ["y"]),
            id="a budget weighs more than priority",
        ),
        pytest.param(
            pod(cpu="4", priority=10),
            [node("a"), node("b")],
            {"a": [low("x"), low("y")], "b": [low("z", cpu="4")]},
            [],
            ("b", ["z"]),
            id="rather fewer",
        ),
        pytest.param(
            pod(cpu="4", priority=10),
            [node("a"), node("b")],
            {"a": [low("x", cpu="4", priority=5)], "b": [low("y", cpu="4", priority=3)]},
            [],
            ("b", ["y"]),
            id="rather less important ones",
        ),
        pytest.param(
            pod(cpu="1", priority=10, affinity=ANTI),
            [node("a")],
            {"a": [low("x", labels={"app": "db"}), low("y", cpu="1")]},
            [],
            ("a", ["x"]),
            id="who is too near goes",
        ),
        pytest.param(
            pod(cpu="2", priority=1),
            [node("a")],
            {"a": [low("x", cpu="4")]},
            [],
            f"0/1 nodes are available: 1 {NO_VICTIMS}.",
            id="nobody matters less",
        ),
        pytest.param(
            pod(cpu="5", priority=10),
            [node("a"), node("b", cpu="8")],
            {"b": [low("x", cpu="2", priority=20), low("y", cpu="4", priority=20)]},
            [],
            f"0/2 nodes are available: 1 {NO_VICTIMS}, 1 {USELESS}.",
            id="a node too small in any case",
        ),
        pytest.param(
            pod(cpu="3", priority=10),
            [node("a")],
            {"a": [low("x", cpu="1"), low("y", cpu="3", priority=10)]},
            [],
            "0/1 nodes are available: 1 Insufficient cpu.",
            id="those that matter less are not enough",
        ),
        pytest.param(
            pod(cpu="3", priority=10, preemptionPolicy="Never"),
            [node("a")],
            {"a": [low("x")]},
            [],
            "not eligible due to preemptionPolicy=Never.",
            id="it does not want to",
        ),
    ],
)
def test_who_has_to_go(wanted: Pending, nodes: Any, running: Any, objects: Any, expected: Any) -> None:
    assert preempted(wanted, nodes, running, objects) == expected


def test_while_victims_leave_nobody_else_must() -> None:
    going = low("x", cpu="4")
    going.is_terminating = going.is_preempted = True
    wanted = pod(cpu="4", priority=10, status={"nominatedNodeName": "a"})
    assert preempted(wanted, [node("a"), node("b")], {"a": [going], "b": [low("y", cpu="4")]}) == (
        "not eligible due to a terminating pod on the nominated node."
    )
