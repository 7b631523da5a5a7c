from __future__ import annotations

from typing import Any

import pytest

from pylet.server.scheduler.decide import Score
from pylet.server.scheduler.plugins.balanced_allocation import BalancedAllocation
from pylet.server.scheduler.plugins.node_resources_fit import (
    NodeResourcesFit,
    least_allocated,
    most_allocated,
    requested_to_capacity,
)
from tests.server.scheduler.kit import node, placed, pod, snapshot_of

GI = 1 << 30
GPU = {"allocatable": {"cpu": "4", "memory": "8Gi", "pods": "110", "example.com/gpu": "2"}}


def asks(cpu: str = "1", memory: str = "0", **more: str) -> Any:
    return pod(container={"resources": {"requests": {"cpu": cpu, "memory": memory, **more}}})


@pytest.mark.parametrize(
    ("used", "wanted", "expected"),
    [
        pytest.param(asks("0"), asks("2", "4Gi"), 75, id="as balanced as before"),
        pytest.param(asks("0"), asks("4", "0"), 50, id="less balanced"),
        pytest.param(asks("0", "4Gi"), asks("2", "0"), 87, id="more balanced"),
    ],
)
def test_balance_is_compared_with_what_it_was(used: Any, wanted: Any, expected: int) -> None:
    snapshot = snapshot_of([node("a", cpu="4")], {"a": [used]})
    info = snapshot.nodes["a"]
    for resources in (("cpu", "memory"), ("cpu", "memory", "example.com/none")):
        score: Score | None = BalancedAllocation(resources).score(wanted, (), snapshot)
        assert score is not None
        assert score(info) == expected


def test_who_asks_for_nothing_is_not_balanced() -> None:
    assert BalancedAllocation().score(asks("0"), (), snapshot_of([])) is None


@pytest.mark.parametrize(
    ("fraction", "expected"),
    [
        pytest.param(least_allocated, [100, 75, 0, 0], id="least"),
        pytest.param(most_allocated, [0, 25, 100, 100], id="most"),
        pytest.param(requested_to_capacity([(0, 0), (50, 10), (100, 0)]), [0, 50, 0, 0], id="a shape"),
    ],
)
def test_a_fraction_of_a_node_scores(fraction: Any, expected: list[int]) -> None:
    assert [fraction(requested, 4) for requested in (0, 1, 4, 5)] == expected


def test_a_container_that_asks_for_nothing_counts_a_little_in_scores() -> None:
    snapshot = snapshot_of([node("a", cpu="1")])
    score = NodeResourcesFit().score(asks("0"), (), snapshot)
    assert score(snapshot.nodes["a"]) == (100 + (8 * GI * 100 // (8 * GI))) // 2, "an explicit zero is an answer"
    bare = pod(container={"resources": {}})
    assert (bare.scored["cpu"], bare.scored["memory"]) == (100, 200 << 20)
    assert not bare.requests


@pytest.mark.parametrize(
    ("wanted", "plugin", "expected"),
    [
        pytest.param(asks(**{"example.com/gpu": "1"}), None, "b", id="where the device is"),
        pytest.param(
            asks(**{"example.com/gpu": "3"}),
            None,
            "0/2 nodes are available: 2 Insufficient example.com/gpu.",
            id="more devices than there are",
        ),
        pytest.param(
            asks("9", "9Gi"),
            None,
            "0/2 nodes are available: 2 Insufficient cpu, 2 Insufficient memory.",
            id="every want is named",
        ),
    ],
)
def test_extended_resources(wanted: Any, plugin: Any, expected: str) -> None:
    assert placed(wanted, node("a"), node("b", status=GPU)) == expected


def test_ignored_resources_are_somebody_elses() -> None:
    plugin = NodeResourcesFit(ignored_groups=frozenset({"example.com"}))
    snapshot = snapshot_of([node("a")])
    assert plugin.filter(asks(**{"example.com/gpu": "3"}), snapshot)(snapshot.nodes["a"]) is None
