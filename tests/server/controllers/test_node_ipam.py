"""Ranges of pod addresses: each node has its own, one of each family."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Key
from pylet.server.controllers import node_ipam
from pylet.server.reconcile.plan import Emit, Patch
from tests.server.controllers.picture import NOW, obj, view


def _node(name: str, *cidrs: str) -> Any:
    return obj("v1", "Node", name, namespace="", spec={"podCIDR": cidrs[0], "podCIDRs": [*cidrs]} if cidrs else {})


@pytest.mark.parametrize(
    ("cluster", "taken", "expected"),
    [
        pytest.param("10.42.0.0/16", (), ["10.42.0.0/24"], id="the first"),
        pytest.param("10.42.0.0/16", ("10.42.0.0/24",), ["10.42.1.0/24"], id="the first that is free"),
        pytest.param("10.42.0.0/16,fd42::/48", (), ["10.42.0.0/24", "fd42::/64"], id="one of each family"),
        pytest.param(
            "fd42::/48,10.42.0.0/16",
            ("fd42::/64", "10.42.3.0/24"),
            ["fd42:0:0:1::/64", "10.42.0.0/24"],
            id="in the order of the cluster's",
        ),
        pytest.param("10.42.0.0/16", ("10.42.1.7/23",), ["10.42.2.0/24"], id="not a part of what another has"),
        pytest.param("10.42.0.0/24,fd42::/48", ("10.42.0.0/24",), None, id="none where a family has none left"),
    ],
)
def test_a_node_is_given_ranges(cluster: str, taken: tuple[str, ...], expected: list[str] | None) -> None:
    nodes = [_node("new"), *([_node("old", *taken)] if taken else [])]
    actions = node_ipam.controller(cluster).plan(Key("", ""), view(*nodes), NOW).actions
    (action,) = [one for one in actions if not (isinstance(one, Patch) and one.key.name == "old")]
    if expected is None:
        assert isinstance(action, Emit)
    else:
        assert isinstance(action, Patch)
        assert action.patch["spec"] == {"podCIDR": expected[0], "podCIDRs": expected}


@pytest.mark.parametrize(
    ("cluster", "has", "expected"),
    [
        pytest.param("10.42.0.0/16,fd42::/48", ["10.42.7.0/24"], ["10.42.7.0/24", "fd42::/64"], id="a second family"),
        pytest.param("fd42::/48,10.42.0.0/16", ["10.42.7.0/24"], None, id="not one before the first"),
        pytest.param("10.42.0.0/16", ["10.42.7.0/24", "fd42::/64"], None, id="nothing is taken away"),
    ],
)
def test_a_node_keeps_what_it_has(cluster: str, has: list[str], expected: list[str] | None) -> None:
    actions = node_ipam.controller(cluster).plan(Key("", ""), view(_node("old", *has)), NOW).actions
    given = [action.patch["spec"]["podCIDRs"] for action in actions if isinstance(action, Patch)]
    assert given == ([] if expected is None else [expected])
