"""Every caller against every pod and port, under each kind of policy, with real packets.

What should get through is worked out by `allows`, straight from the API objects and without sets, chains or sharing.
"""

from __future__ import annotations

import contextlib
import itertools
import select
import socket
import subprocess
import time
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from pathlib import Path
from types import SimpleNamespace

import pytest

from pylet.agent.policy import model, ruleset
from pylet.api.object import Object
from pylet.api.selector import from_object
from tests.agent.policy.builders import named, namespace, pod, policy
from tests.netns import Lab, Member, needs_netns
from tests.waiting import until_it_holds

pytestmark = needs_netns


def containers(port: int, sctp_port: int) -> list[Object]:
    sctp = {"name": "web-sctp", "containerPort": sctp_port, "protocol": "SCTP"}
    return [{"ports": [{"name": "web", "containerPort": port}, sctp]}]


WEB, ODD = containers(80, 81), containers(81, 80)
PODS = [
    pod("a", "10.42.1.2", containers=WEB),
    pod("b", "10.42.1.3", containers=ODD),
    pod("a", "10.42.1.4", namespace="y", containers=WEB),
    pod("b", "10.42.2.2", namespace="y", node="there", containers=ODD),
]
CLIENT = "10.77.0.200"
NODE = "10.77.0.11"
PROTOCOLS = {"TCP": socket.IPPROTO_TCP}
if "SCTP" in Path("/proc/net/protocols").read_text():  # not every kernel has it
    PROTOCOLS["SCTP"] = socket.IPPROTO_SCTP
PORTS = [(protocol, number) for protocol in PROTOCOLS for number in (80, 81)]
TCP_80 = {"port": 80, "protocol": "TCP"}
SCTP_80 = {"port": 80, "protocol": "SCTP"}
Port = tuple[str, int]


def address(of: Object) -> str:
    text: str = of["status"]["podIPs"][0]["ip"]
    return text


def labels(name: str) -> dict[str, str]:
    return {"kubernetes.io/metadata.name": name}


# ---- what should be


def allows(policies: list[Object], source: str, target: str, port: Port) -> bool:
    by_address = {address(each): each for each in PODS}
    if NODE in (source, target) or source == target:
        return True  # between a node and its pods nothing is forbidden; the lab's other node has no policies of its own
    return all(
        _passes(policies, way, by_address.get(subject), other, by_address.get(other), by_address.get(target), port)
        for way, subject, other in (("ingress", target, source), ("egress", source, target))
    )


def _passes(
    policies: list[Object],
    way: str,
    subject: Object | None,
    other: str,
    peer: Object | None,
    target: Object | None,
    port: Port,
) -> bool:
    if subject is None or subject["spec"]["nodeName"] != "here":
        return True
    isolating = [
        each
        for each in policies
        if way.capitalize() in each["spec"]["policyTypes"]
        and each["metadata"]["namespace"] == subject["metadata"]["namespace"]
        and from_object(each["spec"]["podSelector"])(subject["metadata"]["labels"])
    ]
    return not isolating or any(
        _peer_matches(each, rule.get("from" if way == "ingress" else "to"), other, peer)
        and _port_matches(rule.get("ports"), target, port)
        for each in isolating
        for rule in each["spec"].get(way) or ()
    )


def _peer_matches(of: Object, peers: list[Object] | None, other: str, peer: Object | None) -> bool:
    for each in peers or ():
        if block := each.get("ipBlock"):
            inside = [ip_address(other) in ip_network(cidr) for cidr in (block["cidr"], *block.get("except", ()))]
            if inside[0] and not any(inside[1:]):
                return True
        elif peer is not None:
            meta = peer["metadata"]
            spaces = each.get("namespaceSelector")
            in_space = (
                meta["namespace"] == of["metadata"]["namespace"]
                if spaces is None
                else from_object(spaces)(labels(meta["namespace"]))
            )
            if in_space and from_object(each.get("podSelector", {}))(meta["labels"]):
                return True
    return not peers


def _port_matches(ports: list[Object] | None, target: Object | None, port: Port) -> bool:
    protocol, number = port
    for each in ports or ():
        wanted = each.get("port")
        if each.get("protocol", "TCP") != protocol:
            continue
        if isinstance(wanted, str):
            names = target["spec"]["containers"][0]["ports"] if target else []
            if any((one["name"], one.get("protocol", "TCP"), one["containerPort"]) == (wanted, *port) for one in names):
                return True
        elif wanted is None or wanted <= number <= each.get("endPort", wanted):
            return True
    return not ports


# ---- what is


@pytest.fixture(scope="module")
def world() -> Iterator[SimpleNamespace]:
    with Lab(nodes=2, client=True) as lab, contextlib.ExitStack() as stack:
        one, two = lab.nodes
        members = [lab.pod(one if each["spec"]["nodeName"] == "here" else two, address(each)) for each in PODS]
        for node, other, cidr in ((one, two, "10.42.2.0/24"), (two, one, "10.42.1.0/24")):
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
            node.run("ip", "route", "add", cidr, "via", other.ip)
        assert lab.client
        lab.client.run("ip", "route", "add", "10.42.1.0/24", "via", one.ip)
        lab.client.run("ip", "route", "add", "10.42.2.0/24", "via", two.ip)
        for member in (*members, lab.client):
            with member.entered():
                for port in PORTS:
                    listener = stack.enter_context(tcp_or_sctp(port))
                    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                    listener.bind(("", port[1]))
                    listener.listen(200)
        yield SimpleNamespace(node=one, callers=[*members, lab.client, one], targets=[*members, lab.client])


def install(node: Member, policies: list[Object]) -> None:
    pods = [one for each in PODS if (one := model.pod(each, "here"))]
    compiled = ruleset.compile_policies(map(model.policy, policies))
    elements = [element for each in pods for element in ruleset.elements(each, labels(each.key.namespace), compiled)]
    script = ruleset.script(compiled, ruleset.combinations(pods, compiled), elements)
    node.run("nft", "-f", "-", stdin=script)


def tcp_or_sctp(port: Port) -> socket.socket:
    return socket.socket(socket.AF_INET, socket.SOCK_STREAM, PROTOCOLS[port[0]])


def connect_all(world: SimpleNamespace, policies: list[Object]) -> dict[tuple[str, str, Port], bool]:
    """Who reached whom: those who should have time for it, then the others a moment."""
    pending: dict[socket.socket, tuple[str, str, Port]] = {}
    for caller in world.callers:
        with caller.entered():
            for target, port in itertools.product(world.targets, PORTS):
                attempt = tcp_or_sctp(port)
                attempt.setblocking(False)
                attempt.connect_ex((target.ip, port[1]))
                pending[attempt] = (caller.ip, target.ip, port)
    connected: dict[tuple[str, str, Port], bool] = dict.fromkeys(pending.values(), False)
    awaited = {pair for pair in connected if allows(policies, *pair)}
    while pending and (ready := select.select((), pending, (), 30 if awaited else 0.2)[1]):
        for attempt in ready:
            pair = pending.pop(attempt)
            awaited.discard(pair)
            connected[pair] = not attempt.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            attempt.close()
    for attempt in pending:
        attempt.close()
    return connected


A, B, Y = {"podSelector": named("a")}, {"podSelector": named("b")}, {"namespaceSelector": namespace("y")}
BOTH = {"podSelector": named("b"), "namespaceSelector": namespace("y")}
EVERYWHERE = {"namespaceSelector": {}}
NET = {"ipBlock": {"cidr": "10.42.0.0/16", "except": ["10.42.1.3/32", "10.42.1.2/31"]}}
OUTER = {"ipBlock": {"cidr": "10.77.0.0/24"}}


@pytest.mark.parametrize(
    "policies",
    [
        pytest.param([], id="none"),
        pytest.param([policy(ingress=[])], id="nothing comes in"),
        pytest.param([policy(egress=[])], id="nothing goes out"),
        pytest.param([policy(ingress=[], egress=[])], id="nothing at all"),
        pytest.param([policy(subjects={"pod": "a"}, ingress=[])], id="nothing reaches one pod"),
        pytest.param([policy(ingress=[{}])], id="everything comes in"),
        pytest.param([policy(ingress=[{"from": [A]}])], id="from pods of the namespace"),
        pytest.param([policy(ingress=[{"from": [Y]}])], id="from a namespace"),
        pytest.param([policy(ingress=[{"from": [BOTH]}])], id="from pods of a namespace"),
        pytest.param([policy(ingress=[{"from": [A, Y]}])], id="from either of two"),
        pytest.param([policy(ingress=[{"from": [EVERYWHERE]}])], id="from every pod"),
        pytest.param([policy(ingress=[{"from": [NET]}])], id="from a network but for some"),
        pytest.param([policy(ingress=[{"from": [OUTER]}])], id="from outside"),
        pytest.param([policy(ingress=[{"ports": [TCP_80]}])], id="to a port"),
        pytest.param([policy(ingress=[{"ports": [{"port": 80, "endPort": 81}]}])], id="to a range of ports"),
        pytest.param([policy(ingress=[{"ports": [{"port": "web"}]}])], id="to a port by its name"),
        pytest.param([policy(ingress=[{"ports": [{"protocol": "UDP"}]}])], id="to another protocol"),
        pytest.param([policy(ingress=[{"ports": [SCTP_80]}])], id="to a port of SCTP"),
        pytest.param([policy(ingress=[{"ports": [SCTP_80, {"port": "web"}]}])], id="to a port of SCTP and a name"),
        pytest.param([policy(ingress=[{"from": [Y], "ports": [{"port": "web"}]}])], id="from a namespace to a name"),
        pytest.param(
            [policy(egress=[{"to": [B], "ports": [{"port": "web-sctp", "protocol": "SCTP"}]}])], id="out to SCTP's name"
        ),
        pytest.param([policy(ingress=[{"from": [A]}, {"ports": [TCP_80]}])], id="two rules add up"),
        pytest.param([policy("p", ingress=[]), policy("q", ingress=[{"from": [Y]}])], id="two policies add up"),
        pytest.param([policy(egress=[{"to": [Y]}])], id="out to a namespace"),
        pytest.param([policy(egress=[{"to": [B], "ports": [TCP_80]}])], id="out to a port of pods"),
        pytest.param([policy(egress=[{"ports": [{"port": "web"}]}])], id="out to a name"),
        pytest.param([policy(egress=[{"to": [BOTH], "ports": [{"port": "web"}]}])], id="out to a name of pods"),
        pytest.param([policy(egress=[{"to": [OUTER, A]}])], id="out of the cluster or to pods"),
        pytest.param(
            [policy("p", ingress=[{"from": [B]}]), policy("q", subjects={"pod": "b"}, egress=[{"to": [Y]}])],
            id="both ends have their say",
        ),
    ],
)
def test_what_gets_through(world: SimpleNamespace, policies: list[Object]) -> None:
    install(world.node, policies)
    connected = connect_all(world, policies)
    wrong = {pair: got for pair, got in connected.items() if got != allows(policies, *pair)}
    assert not wrong


def test_a_connection_stops_and_goes_on_with_the_policies(world: SimpleNamespace) -> None:
    install(world.node, [])
    caller, target = world.callers[0], world.targets[1]
    with caller.entered(), socket.create_connection((target.ip, 80), timeout=5) as open_one:
        for policies, passes in (
            ([policy(ingress=[])], False),
            ([policy(ingress=[{"from": [A]}])], True),
            ([policy(subjects={"pod": "a"}, ingress=[])], True),  # its caller is called by nobody, but is answered
            ([policy(subjects={"pod": "a"}, egress=[])], False),
        ):
            install(world.node, policies)
            open_one.sendall(b"still here")
            if passes:  # what was lost is sent again
                until_it_holds(f"it goes on with {policies}", lambda: not _unacknowledged(target.ip))
            else:
                time.sleep(0.05)
                assert _unacknowledged(target.ip), policies


def _unacknowledged(address: str) -> int:
    told = subprocess.run(["ss", "-Htn", "state", "established", "dst", address], capture_output=True, text=True)
    return int(told.stdout.split()[1])
