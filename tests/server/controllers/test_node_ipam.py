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
        pytest.param("10.42.0.0/24,fd42::/48", ("10.42.0.0/24",), None, id="none where a family has none left"),
    ],
)
def test_a_node_is_given_ranges(cluster: str, taken: tuple[str, ...], expected: list[str] | None) -> None:
    nodes = [_node("new"), *([_node("old", *taken)] if taken else [])]
    (action,) = node_ipam.controller(cluster).plan(Key("", ""), view(*nodes), NOW).actions
    if expected is None:
        assert isinstance(action, Emit)
    else:
        assert isinstance(action, Patch)
        assert action.patch["spec"] == {"podCIDR": expected[0], "podCIDRs": expected}
