"""Topology mode Auto: zones get endpoints as they have CPUs, or nobody gets hints."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from pylet.api.object import Object
from pylet.api.zone_hints import NoHints, cpu_shares, zones_for


def node(zone: str, cpu: str = "2", *, ready: str = "True", **labels: str) -> Object:
    found: Any = {"metadata": {"labels": {**labels, **({"topology.kubernetes.io/zone": zone} if zone else {})}}}
    return {**found, "status": {"allocatable": {"cpu": cpu}, "conditions": [{"type": "Ready", "status": ready}]}}


@pytest.mark.parametrize(
    ("nodes", "shares"),
    [
        pytest.param([node("a"), node("b"), node("b")], {"a": 1 / 3, "b": 2 / 3}, id="by their CPUs"),
        pytest.param([node("a"), node("b"), node("c", ready="False")], {"a": 0.5, "b": 0.5}, id="of ready nodes"),
        pytest.param(
            [node("a"), node("b"), node("", **{"node-role.kubernetes.io/control-plane": ""})],
            {"a": 0.5, "b": 0.5},
            id="not of control planes",
        ),
        pytest.param([node("a"), node("b"), node("")], None, id="a node without a zone spoils it"),
        pytest.param([node("a"), node("b", "0")], None, id="so does one without CPUs"),
        pytest.param([node("a"), node("a")], None, id="one zone is nothing to choose from"),
    ],
)
def test_shares(nodes: list[Object], shares: dict[str, float] | None) -> None:
    if shares is None:
        with pytest.raises(NoHints, match=r"^Insufficient Node information"):
            cpu_shares(nodes)
    else:
        assert cpu_shares(nodes) == pytest.approx(shares)


EVEN = {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}


@pytest.mark.parametrize(
    ("endpoints", "shares", "hinted"),
    [
        pytest.param("abc", EVEN, "abc", id="each zone keeps its own"),
        pytest.param("aabbcc", EVEN, "aabbcc", id="each zone keeps all of its own"),
        pytest.param("aaabbc", EVEN, "abbcac", id="who has too many gives to who has too few"),
        pytest.param("aaaaaa", EVEN, "aabbcc", id="one zone feeds all"),
        pytest.param("aaaabbb", {"a": 0.5, "b": 0.5}, "aaaabbb", id="half an endpoint is not worth moving"),
        pytest.param("aaabbb", {"a": 1 / 3, "b": 2 / 3}, "aabbbb", id="zones weigh by their CPUs"),
        pytest.param("ab", EVEN, "Insufficient number of endpoints (2 endpoints, 3 zones)", id="too few endpoints"),
        pytest.param(
            "a c", EVEN, "One or more endpoints do not have a zone specified", id="an endpoint without a zone"
        ),
        pytest.param(
            "abc",
            {"a": 0.5, "b": 0.5 - 0.01, "c": 0.01},
            "Unable to allocate minimum required endpoints to each zone without exceeding overload threshold"
            " (3 endpoints, 3 zones)",
            id="some zone would be overloaded",
        ),
    ],
)
def test_hints(endpoints: str, shares: dict[str, float], hinted: str) -> None:
    zones = [zone.strip() for zone in endpoints]
    if len(hinted) != len(endpoints):
        with pytest.raises(NoHints) as refused:
            zones_for(zones, shares)
        assert str(refused.value) == hinted
    else:
        assert Counter(zones_for(zones, shares)) == Counter(hinted)
