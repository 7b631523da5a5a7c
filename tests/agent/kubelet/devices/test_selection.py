"""Which devices a container gets of those there are."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.devices.messages import Device, NumaNode, Preference, Topology
from pylet.agent.kubelet.devices.selection import complete, select
from pylet.agent.kubelet.provided import CannotProvide

_NEAR = {"a": (0,), "b": (0,), "c": (1,), "d": (1,), "e": ()}
DEVICES = {id_: Device(id_, "Healthy", Topology(tuple(map(NumaNode, nodes)))) for id_, nodes in _NEAR.items()}


@pytest.mark.parametrize(
    ("needed", "free", "reusable", "affinity", "preferred", "got"),
    [
        pytest.param(2, "abcde", "", None, "", "ab", id="any will do without an affinity"),
        pytest.param(2, "abcde", "", None, "ec", "ec", id="what the plugin prefers comes first"),
        pytest.param(2, "abcde", "", None, "e", "ea", id="a preference too short is filled up"),
        pytest.param(2, "abc", "", None, "ed", "ab", id="a preference for what is not free does not count"),
        pytest.param(
            1, "abcde", "", {1}, "a", "c", id="nothing is preferred outside the affinity while that has enough"
        ),
        pytest.param(1, "abcde", "", {1}, "d", "d", id="the plugin chooses within the affinity"),
        pytest.param(3, "abcde", "", {1}, "e", "cde", id="all of the affinity, then what the plugin prefers"),
        pytest.param(3, "acde", "", {1}, "", "cda", id="devices near no node come last"),
        pytest.param(2, "cd", "a", None, "", "ac", id="what an init container had is taken first"),
        pytest.param(1, "cd", "ab", None, "d", "a", id="and is enough where it is"),
    ],
)
def test_selects(needed: int, free: str, reusable: str, affinity: set[int] | None, preferred: str, got: str) -> None:
    near = None if affinity is None else frozenset(affinity)
    selection = select("x.io/d", needed, DEVICES, free, reusable, near)
    assert complete(selection, tuple(preferred)) == tuple(got)


def test_asks_the_plugin_for_what_may_be_chosen() -> None:
    selection = select("x.io/d", 3, DEVICES, "bcde", "a", None)
    assert selection.preference == Preference(("a", "b", "c", "d", "e"), ("a",), 3)


def test_too_few_are_refused() -> None:
    with pytest.raises(CannotProvide, match=r"devices unavailable for x\.io/d\. Requested: 2, Available: 1"):
        select("x.io/d", 2, DEVICES, "a")
