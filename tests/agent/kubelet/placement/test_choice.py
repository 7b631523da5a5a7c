"""Which CPUs are taken to be somebody's own."""

from __future__ import annotations

import pytest

from pylet.agent.kubelet.placement.choice import packed
from pylet.agent.kubelet.placement.layout import Layout, format_cpus, parse_cpus
from pylet.agent.kubelet.placement.spread import spread
from pylet.agent.kubelet.provided import CannotProvide
from tests.agent.kubelet.placement.machines import FOUR_NODES, ONE_SOCKET, TWO_CACHES, TWO_SOCKETS


@pytest.mark.parametrize(
    ("layout", "free", "count", "taken"),
    [
        pytest.param(ONE_SOCKET, "0-7", 0, "", id="none"),
        pytest.param(ONE_SOCKET, "0-7", 1, "0", id="one"),
        pytest.param(ONE_SOCKET, "1,3,5-7", 1, "6", id="one of the core that is used already"),
        pytest.param(ONE_SOCKET, "0-7", 2, "0,4", id="a whole core"),
        pytest.param(ONE_SOCKET, "0-3,6", 2, "2,6", id="the one core that is free"),
        pytest.param(ONE_SOCKET, "0-7", 8, "0-7", id="all"),
        pytest.param(TWO_SOCKETS, "1-5,7-11", 1, "2", id="one of the fuller socket"),
        pytest.param(TWO_SOCKETS, "0-11", 6, "0,2,4,6,8,10", id="a whole socket"),
        pytest.param(TWO_SOCKETS, "0-11", 8, "0-2,4,6-8,10", id="a socket and a core of the other"),
        pytest.param(FOUR_NODES, "0-79", 20, "0-9,40-49", id="a whole NUMA node"),
        pytest.param(FOUR_NODES, "10-39,50-79", 20, "10-19,50-59", id="the NUMA node that completes a socket"),
        pytest.param(FOUR_NODES, "0-79", 40, "0-19,40-59", id="a socket of two NUMA nodes"),
        pytest.param(FOUR_NODES, "0-79", 60, "0-29,40-69", id="a socket and a NUMA node"),
        pytest.param(FOUR_NODES, "0-79", 64, "0-31,40-71", id="three NUMA nodes and two cores"),
    ],
)
def test_packs(layout: Layout, free: str, count: int, taken: str) -> None:
    assert format_cpus(packed(layout, parse_cpus(free), count)) == taken


@pytest.mark.parametrize(
    ("free", "count", "taken"),
    [
        pytest.param("2-7,10-15", 6, "4-6,12-14", id="the cache that is wholly free"),
        pytest.param("1-7,9-15", 10, "1,4-7,9,12-15", id="a cache and a core of the other"),
    ],
)
def test_packs_by_cache(free: str, count: int, taken: str) -> None:
    assert format_cpus(packed(TWO_CACHES, parse_cpus(free), count, by_cache=True)) == taken


@pytest.mark.parametrize(
    ("layout", "free", "count", "group", "taken"),
    [
        pytest.param(TWO_SOCKETS, "1-5,7-11", 1, 1, "1", id="one of the node with the most left"),
        pytest.param(TWO_SOCKETS, "1-5,7-11", 1, 2, "2", id="less than a group is packed"),
        pytest.param(FOUR_NODES, "0-79", 26, 1, "0-6,10-16,40-45,50-55", id="over two nodes"),
        pytest.param(FOUR_NODES, "0-79", 26, 2, "0-6,10-15,40-46,50-55", id="over two nodes by whole cores"),
        pytest.param(FOUR_NODES, "0-79", 62, 1, "0-7,10-17,20-27,30-37,40-47,50-57,60-66,70-76", id="over four"),
        pytest.param(FOUR_NODES, "0-79", 62, 2, "0-7,10-17,20-27,30-36,40-47,50-57,60-67,70-76", id="over four, cores"),
        pytest.param(
            FOUR_NODES,
            "0-8,10-18,20-39,40-48,50-58,60-79",
            62,
            1,
            "0-7,10-17,20-27,30-37,40-46,50-56,60-67,70-77",
            id="the rest from where more is left",
        ),
        pytest.param(
            FOUR_NODES,
            "0-8,10-18,20-39,40-48,50-58,60-79",
            62,
            2,
            "0-7,10-16,20-27,30-37,40-47,50-56,60-67,70-77",
            id="the rest from where more is left, by cores",
        ),
        pytest.param(
            FOUR_NODES,
            "0-3,10-13,20-23,30-36,40-43,50-53,60-63,70-76",
            34,
            1,
            "0-3,10-13,20-23,30-34,40-43,50-53,60-63,70-74",
            id="the rest from the one that has it",
        ),
    ],
)
def test_spreads(layout: Layout, free: str, count: int, group: int, taken: str) -> None:
    wanted = format_cpus(parse_cpus(taken))
    assert format_cpus(spread(layout, parse_cpus(free), count, group)) == wanted


def test_too_few_are_refused() -> None:
    with pytest.raises(CannotProvide, match="not enough cpus available to satisfy request: requested=5, available=4"):
        packed(ONE_SOCKET, parse_cpus("0,2,4,6"), 5)


@pytest.mark.parametrize("text", ["", "0", "0-3", "0,2,4-6,8"])
def test_lists_of_cpus_read_as_they_are_written(text: str) -> None:
    assert format_cpus(parse_cpus(text)) == text
