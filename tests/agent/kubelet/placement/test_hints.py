"""What those who give CPUs, memory and devices agree on."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.placement.hints import Hint, Hints, Policy


def hint(nodes: str, *, best: bool = False) -> Hint:
    return Hint(frozenset(map(int, nodes)) if nodes else None, best)


def good(nodes: str) -> Hint:
    return hint(nodes, best=True)


NO_WISH: Hints = {}
IMPOSSIBLE: Hints = {"x.io/d": []}


@pytest.mark.parametrize(
    ("providers", "agreed", "restricted", "single"),
    [
        pytest.param([NO_WISH], good("01"), True, True, id="nobody minds"),
        pytest.param([{"x.io/d": None}], good("01"), True, True, id="a resource that is everywhere"),
        pytest.param([IMPOSSIBLE], hint("01"), False, False, id="it cannot be near"),
        pytest.param([{"cpu": [good("0"), good("1"), hint("01")]}], good("0"), True, True, id="the lower of two alike"),
        pytest.param([{"cpu": [good("1"), hint("01")]}, NO_WISH], good("1"), True, True, id="one minds"),
        pytest.param(
            [{"cpu": [good("0"), good("1")]}, {"x.io/d": [good("1"), hint("01")]}], good("1"), True, True, id="both can"
        ),
        pytest.param([{"cpu": [good("0")]}, {"x.io/d": [good("1")]}], hint("01"), False, False, id="they cannot meet"),
        pytest.param([{"cpu": [good("01")]}], good("01"), True, False, id="two nodes are the least"),
        pytest.param(
            [{"cpu": [good("0"), hint("01")]}, {"a": [good("01")]}], hint("01"), False, False, id="one is wider"
        ),
    ],
)
def test_agree(providers: list[Hints], agreed: Hint, restricted: bool, single: bool) -> None:
    nodes = frozenset((0, 1))
    assert Policy("best-effort", nodes).agree(providers) == (agreed, True)
    assert Policy("restricted", nodes).agree(providers)[1] is restricted
    assert Policy("single-numa-node", nodes).agree(providers)[1] is single


def test_the_closest_nodes_are_taken_where_that_is_asked_for() -> None:
    distances = {0: (10, 40, 20), 1: (40, 10, 20), 2: (20, 20, 10)}
    wishes: list[Hints] = [{"cpu": [good("01"), good("02"), good("12")]}]
    assert Policy("best-effort", frozenset((0, 1, 2))).agree(wishes)[0] == good("01")
    assert Policy("best-effort", frozenset((0, 1, 2)), distances).agree(wishes)[0] == good("02")


def test_without_a_preferred_hint_it_takes_as_many_nodes_as_who_needs_the_most() -> None:
    wishes: list[Hints] = [{"cpu": [hint("0"), hint("01"), hint("012")]}, {"x.io/d": [hint("01"), hint("012")]}]
    assert Policy("best-effort", frozenset((0, 1, 2))).agree(wishes)[0] == hint("01")
