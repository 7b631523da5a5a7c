"""The rules as text, and that changes add up to what a full build says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from pylet.agent.nftset import Element
from pylet.agent.proxy import rules
from pylet.agent.proxy.model import Endpoint, Frontend
from pylet.agent.proxy.rules import Layout
from pylet.agent.proxy.ruleset import Installed, build, pack, unpack
from tests.agent.proxy.kernel import install, write
from tests.netns import Lab, needs_netns

GOLDEN = Path(__file__).parents[2] / "golden"
POD, NEIGHBOUR, FAR = Endpoint("10.42.1.2", 8080, True), Endpoint("10.42.1.3", 8080, True), Endpoint("10.42.2.2", 8080)
POD6 = Endpoint("fd42:0:0:1::2", 8080, True)


def frontend(address: str, *endpoints: Endpoint, **fields: object) -> Frontend:
    fields = {"family": 4, "protocol": "tcp", "port": 80, **fields}
    return Frontend(address=address, endpoints=endpoints, **fields)  # type: ignore[arg-type]


EVERY_KIND = [
    frontend("10.43.0.1", Endpoint("192.0.2.1", 6443), port=443),
    frontend("10.43.0.20", POD, NEIGHBOUR, FAR),
    frontend("10.43.0.21", POD, affinity_seconds=10800),
    frontend("10.43.0.22"),
    frontend("10.43.0.23", is_dropped=True),
    frontend("192.0.2.11", POD, FAR, port=30080, is_masqueraded=True),
    frontend("192.0.2.11", POD, FAR, port=30081, outside=(POD,)),
    frontend("192.0.2.11", FAR, port=30082, outside=(), affinity_seconds=60),
    frontend("198.51.100.1", FAR, sources=("203.0.113.0/24", "198.51.100.1/32"), is_masqueraded=True),
    frontend("10.43.0.26", FAR, port=53, protocol="udp"),
    frontend("10.43.0.27", FAR, protocol="sctp"),
    frontend("", POD, port=9000),
    frontend("127.0.0.1", POD, port=9001),
    frontend("fd43::20", POD6, family=6),
    frontend("2001:db8::5", POD6, family=6, sources=("2001:db8::/32",), affinity_seconds=60),
    frontend("", POD6, family=6, port=9000),
]


def _check_golden(name: str, text: str) -> None:
    """After a wanted change: PYLET_GOLDEN=write pytest …, then read the difference."""
    if os.environ.get("PYLET_GOLDEN") == "write":
        (GOLDEN / name).write_text(text)
    assert text == (GOLDEN / name).read_text()


def test_the_fixed_rules_are_golden() -> None:
    layout = Layout(cluster_cidrs=("10.42.0.0/16", "fd42::/48"), service_cidrs=("10.43.0.0/16", "fd43::/112"))
    _check_golden("proxy.nft", rules.script(layout))


def test_every_kind_of_frontend_has_its_golden_elements() -> None:
    lines = [f"{name:20} {key}{' : ' * bool(value)}{value}" for name, key, value in sorted(build(EVERY_KIND))]
    _check_golden("proxy-elements.txt", "\n".join([*lines, ""]))


def test_what_is_packed_comes_out_again() -> None:
    assert set(unpack(pack(build(EVERY_KIND)))) == build(EVERY_KIND)
    assert unpack(pack(frozenset())) == []


CHANGES = [
    pytest.param([], [frontend("10.43.0.7", POD)], id="a new service"),
    pytest.param([frontend("10.43.0.7", POD)], [], id="a service that goes"),
    pytest.param([frontend("10.43.0.7", POD)], [frontend("10.43.0.7", POD, FAR)], id="one endpoint more"),
    pytest.param([frontend("10.43.0.7", POD, FAR)], [frontend("10.43.0.7", FAR)], id="one endpoint less"),
    pytest.param([frontend("10.43.0.7", POD)], [frontend("10.43.0.7", NEIGHBOUR)], id="another endpoint"),
    pytest.param([frontend("10.43.0.7", POD)], [frontend("10.43.0.7")], id="no endpoint left"),
    pytest.param(
        [frontend("10.43.0.7", POD)], [frontend("10.43.0.7", POD, affinity_seconds=60)], id="affinity switched on"
    ),
    pytest.param(
        [frontend("192.0.2.7", POD, outside=(POD,))],
        [frontend("192.0.2.7", POD, is_masqueraded=True, sources=("10.0.0.0/8", "192.0.2.7"))],
        id="another policy and source ranges",
    ),
    pytest.param([], EVERY_KIND, id="everything comes"),
    pytest.param(EVERY_KIND, [], id="everything goes"),
]


@pytest.mark.parametrize(("before", "after"), CHANGES)
@needs_netns
def test_a_change_leaves_what_a_full_build_would(before: list[Frontend], after: list[Frontend]) -> None:
    others = [frontend("10.43.0.40", POD, FAR)]
    layout = Layout()
    with Lab(nodes=1) as lab:
        (node,) = lab.nodes
        with node.entered():
            installed = Installed()
            installed.change((), install(layout, others + before))
            write(layout, installed.change(_each(before), _each(after)))
            changed = node.run("nft", "list", "table", "inet", "pylet")
            install(layout, others + after)
            anew = node.run("nft", "list", "table", "inet", "pylet")
    # the order of elements follows their history
    assert Counter(_words(changed)) == Counter(_words(anew))


def _each(frontends: list[Frontend]) -> list[Element]:
    return [element for frontend in frontends for element in build([frontend])]


def _words(listing: str) -> list[str]:
    return listing.replace(",", " ").split()


def test_a_change_touches_only_its_own_elements() -> None:
    installed = Installed()
    installed.change((), build(EVERY_KIND))
    old = frontend("10.43.0.20", POD, NEIGHBOUR, FAR)
    new = frontend("10.43.0.20", POD, NEIGHBOUR, Endpoint("10.42.2.9", 8080))
    changes = installed.change(build([old]), build([new]))
    key = "0:2 . 10.43.0.20 . tcp . 80"
    assert changes.deleted == [Element("endpoint4", key, "10.42.2.2 . 8080")]
    assert changes.added == [Element("endpoint4", key, "10.42.2.9 . 8080")]


def test_what_two_services_share_goes_with_the_last() -> None:
    one, two, installed = frontend("10.43.0.1", POD), frontend("10.43.0.2", POD), Installed()
    installed.change((), [*build([one]), *build([two])])
    shared = Element("hairpin4", "10.42.1.2 . 10.42.1.2")
    assert shared not in installed.change(build([one]), ()).deleted
    assert shared in installed.change(build([two]), ()).deleted


def test_what_only_goes_is_a_change_and_what_stays_is_none() -> None:
    elements, installed = build([frontend("10.43.0.1", POD)]), Installed()
    assert installed.change((), elements)
    assert not installed.change(elements, elements)
    assert installed.change(elements, ())
