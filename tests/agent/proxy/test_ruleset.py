"""The rules as text, and that changes add up to what a full build says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pylet.agent.proxy import nft
from pylet.agent.proxy.model import Backend, Endpoint, ServicePort
from pylet.agent.proxy.ruleset import Installed, Layout, Ruleset, build, render, render_changes
from tests.netns import Lab, needs_netns

GOLDEN = Path(__file__).parents[2] / "golden" / "proxy.nft"
POD, NEIGHBOUR, FAR = Endpoint("10.42.1.2", 8080, True), Endpoint("10.42.1.3", 8080, True), Endpoint("10.42.2.2", 8080)
POD6 = Endpoint("fd42:0:0:1::2", 8080, True)


def port(address: str, *endpoints: Endpoint, **fields: object) -> ServicePort:
    fields = {"family": 4, "protocol": "tcp", "port": 80, "internal": Backend(endpoints), **fields}
    return ServicePort(address=address, **fields)  # type: ignore[arg-type]


EVERY_KIND = [
    port("10.43.0.1", Endpoint("192.0.2.1", 6443), port=443),
    port("10.43.0.20", POD, NEIGHBOUR, FAR),
    port("10.43.0.21", POD, is_sticky=True),
    port("10.43.0.22"),
    port("10.43.0.23", internal=Backend((), has_remote=True)),
    port("10.43.0.24", POD, FAR, node_port=30080, external=Backend((POD, FAR))),
    port("10.43.0.25", FAR, node_port=30081, external=Backend((), has_remote=True), is_local_external=True),
    port("10.43.0.26", FAR, port=53, protocol="udp", node_port=30082),
    port("fd43::20", POD6, family=6),
    port("10.43.0.27", FAR, protocol="sctp"),
]


def test_every_kind_of_service_has_its_golden_rules() -> None:
    """After a wanted change: PYLET_GOLDEN=write pytest …, then read the difference."""
    layout = Layout(cluster_cidrs=("10.42.0.0/16", "fd42::/48"), service_cidrs=("10.43.0.0/16", "fd43::/112"))
    text = render(layout, build(EVERY_KIND))
    if os.environ.get("PYLET_GOLDEN") == "write":
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([], [port("10.43.0.7", POD)], id="a new service"),
        pytest.param([port("10.43.0.7", POD)], [], id="a service that goes"),
        pytest.param([port("10.43.0.7", POD)], [port("10.43.0.7", POD, FAR)], id="one endpoint more"),
        pytest.param([port("10.43.0.7", POD, FAR)], [port("10.43.0.7", FAR)], id="one endpoint less"),
        pytest.param([port("10.43.0.7", POD)], [port("10.43.0.7", NEIGHBOUR)], id="another endpoint"),
        pytest.param([port("10.43.0.7", POD)], [port("10.43.0.7")], id="no endpoint left"),
        pytest.param([port("10.43.0.7", POD)], [port("10.43.0.7", POD, is_sticky=True)], id="affinity switched on"),
        pytest.param(
            [port("10.43.0.7", POD, node_port=30000, external=Backend((POD,)))],
            [port("10.43.0.8", POD, node_port=30000, external=Backend((POD,)))],
            id="a node port that changes hands",
        ),
    ],
)
@needs_netns
def test_a_change_leaves_what_a_full_build_would(before: list[ServicePort], after: list[ServicePort]) -> None:
    others = [port("10.43.0.20", POD, FAR)]
    layout, installed = Layout(), Installed()
    installed.change(Ruleset(), build(others + before))
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        with node.entered():
            nft.apply(render(layout, build(others + before)))
            nft.apply(render_changes(layout, installed.change(build(before), build(after))))
            changed = node.run("nft", "list", "table", "inet", "pylet")
            nft.apply(render(layout, build(others + after)))
            anew = node.run("nft", "list", "table", "inet", "pylet")
    # the order of elements and chains follows their history
    assert Counter(_words(changed)) == Counter(_words(anew))


def _words(listing: str) -> list[str]:
    return listing.replace(",", " ").split()


def test_a_change_touches_only_its_own_elements() -> None:
    installed = Installed()
    installed.change(Ruleset(), build(EVERY_KIND))
    old, new = port("10.43.0.20", POD, NEIGHBOUR, FAR), port("10.43.0.20", POD, NEIGHBOUR, Endpoint("10.42.2.9", 8080))
    assert render_changes(Layout(), installed.change(build([old]), build([new]))).splitlines() == [
        "delete element inet pylet service-endpoint4 { 0:2 . 10.43.0.20 . tcp . 80 }",
        "add element inet pylet service-endpoint4 { 0:2 . 10.43.0.20 . tcp . 80 : 10.42.2.9 . 8080 }",
    ]


def test_what_two_services_share_goes_with_the_last() -> None:
    one, two, installed = port("10.43.0.1", POD), port("10.43.0.2", POD), Installed()
    installed.change(Ruleset(), build([one, two]))
    first = installed.change(build([one]), build([]))
    assert "hairpin4" not in first.deleted
    assert not first.dead_chains
    last = installed.change(build([two]), build([]))
    assert last.deleted["hairpin4"] == {"10.42.1.2 . 10.42.1.2": ""}
    assert [pick.name for pick in last.dead_chains] == ["pick-service4-1"]
