"""Nodes answer for a balancer's addresses on a real link: one for each, and another when that one is gone."""

from __future__ import annotations

import copy
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from pylet.agent.network.announcing import Announcements
from pylet.agent.network.answering import answer_to
from pylet.aio.clock import SystemClock
from pylet.api.kinds.endpointslice import KIND as SLICE
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.loadbalancer import FROM_POOL, announcer
from pylet.api.object import Object
from pylet.client.view import Entry, Table
from tests.agent.network.running import Api, Running, node
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until_it_holds

ADDRESSES = ("10.77.0.240", "fd77::240")
MAC = bytes.fromhex("0a0000000001")


def _ready(item: Object, status: str) -> Object:
    item = copy.deepcopy(item)
    item["status"]["conditions"] = [{"type": "Ready", "status": status}]
    return item


def _service(**spec: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "default", "resourceVersion": "1"},
        "spec": {"type": "LoadBalancer", **spec},
        "status": {
            "loadBalancer": {"ingress": [{"ip": address} for address in ADDRESSES]},
            "conditions": [{"type": FROM_POOL, "status": "True"}],
        },
    }


SLICE_ON_TWO = {
    "metadata": {
        "name": "web-1",
        "namespace": "default",
        "resourceVersion": "1",
        "labels": {"kubernetes.io/service-name": "web"},
    },
    "endpoints": [{"addresses": ["10.42.1.5"], "nodeName": "n1", "conditions": {"ready": True}}],
}


def _answering(member: Member, name: str, service: Object) -> Callable[[Table], Coroutine[Any, Any, None]]:
    def make(nodes: Table) -> Coroutine[Any, Any, None]:
        services, slices = Table(SERVICE), Table(SLICE)
        services.put(Entry.of(SERVICE, service))
        slices.put(Entry.of(SLICE, SLICE_ON_TWO))
        ips = (member.ip, member.ip6)
        return Announcements(services, slices, nodes, SystemClock(), node=name, node_ips=ips).run()

    return make


@pytest.fixture
def world(request: pytest.FixtureRequest) -> Iterator[tuple[Lab, Api]]:
    with Lab(nodes=2, client=True) as lab, ExitStack() as stack:
        api = Api()
        for number, member in enumerate(lab.nodes):
            item = node(f"n{number}", (member.ip, member.ip6), f"10.42.{number}.0/24")
            api.put(_ready(item, "True"))
        for number, member in enumerate(lab.nodes):
            stack.enter_context(Running(api, member, _answering(member, f"n{number}", request.param)))
        yield lab, api


def _mac(member: Member) -> str:
    return member.run("ip", "-br", "link", "show", "eth0").split()[2]


def _seen(lab: Lab, address: str, *, ask: bool) -> str:
    """The MAC that the client holds for an address, after having asked for it."""
    assert lab.client is not None
    if ask:
        lab.client.run("busybox", "ping", "-c1", "-W1", address, check=False)
    words = lab.client.run("ip", "neigh", "show", address).split()
    return words[words.index("lladdr") + 1] if "lladdr" in words else ""


@needs_netns
@pytest.mark.parametrize("world", [_service()], indirect=True)
def test_one_node_answers_and_another_when_it_is_lost(world: tuple[Lab, Api]) -> None:
    lab, api = world
    macs = {f"n{number}": _mac(member) for number, member in enumerate(lab.nodes)}
    for address in ADDRESSES:
        first = announcer(address, macs)
        other = next(name for name in macs if name != first)
        assert first is not None
        until_it_holds(f"{address} is answered for", lambda a=address, f=first: _seen(lab, a, ask=True) == macs[f])
        before = api.nodes[first]
        api.put(_ready(before, "Unknown"))
        # The client is told: it asks nobody.
        until_it_holds("another takes over", lambda a=address, o=other: _seen(lab, a, ask=False) == macs[o])
        api.put(before)
        until_it_holds("it is given back", lambda a=address, f=first: _seen(lab, a, ask=False) == macs[f])


@needs_netns
@pytest.mark.parametrize("world", [_service(externalTrafficPolicy="Local")], indirect=True)
def test_with_the_local_policy_a_node_with_endpoints_answers(world: tuple[Lab, Api]) -> None:
    lab, api = world
    for address in ADDRESSES:
        until_it_holds(f"{address} is answered for", lambda a=address: _seen(lab, a, ask=True) == _mac(lab.nodes[1]))
    api.put(_ready(api.nodes["n1"], "False"))
    client = lab.client
    assert client is not None

    def is_silent() -> bool:
        client.run("ip", "neigh", "flush", "dev", "eth0")
        return _seen(lab, ADDRESSES[0], ask=True) == ""

    until_it_holds("nobody answers", is_silent)


def _arp(kind: int, sender: str, target: str) -> bytes:
    head = bytes.fromhex("ffffffffffff0a00000000020806000108000604") + kind.to_bytes(2, "big")
    return head + bytes.fromhex("0a0000000002" + sender + "000000000000" + target)


@pytest.mark.parametrize(
    ("frame", "answered"),
    [
        pytest.param(_arp(1, "0a000001", "0a000009"), True, id="a question"),
        pytest.param(_arp(1, "00000000", "0a000009"), True, id="somebody who wants the address"),
        pytest.param(_arp(1, "0a000009", "0a000009"), False, id="somebody who has taken it over"),
        pytest.param(_arp(2, "0a000001", "0a000009"), False, id="an answer"),
        *(pytest.param(_arp(1, "0a000001", "0a000009")[:size], False, id=f"cut at {size}") for size in (0, 13, 14, 41)),
        pytest.param(bytes(12) + b"\x86\xdd" + bytes(30), False, id="a short packet of IPv6"),
        pytest.param(bytes(12) + b"\x86\xdd" + bytes(80), False, id="an odd packet of IPv6"),
    ],
)
def test_what_is_answered(frame: bytes, answered: bool) -> None:
    assert bool(answer_to(frame, MAC)) == answered
