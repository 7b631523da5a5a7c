"""Real packets through the rules: a node with pods behind a bridge, another node, and a client outside the cluster."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from pylet.agent import nft
from pylet.agent.proxy import affinity, rules
from pylet.agent.proxy.model import Endpoint, Frontend
from pylet.agent.proxy.rules import Layout
from pylet.agent.proxy.ruleset import Changes, Installed, build
from tests.agent.proxy.kernel import install, write
from tests.netns import Lab, Member, needs_netns

pytestmark = needs_netns

_HAS_SCTP = "SCTP" in Path("/proc/net/protocols").read_text()

LAYOUT = Layout(cluster_cidrs=("10.42.0.0/16", "fd42::/48"), service_cidrs=("10.43.0.0/16", "fd43::/112"))
POD_A, POD_B, POD_C = Endpoint("10.42.1.2", 8080, True), Endpoint("10.42.1.3", 8080, True), Endpoint("10.42.2.2", 8080)


def service(address: str, *endpoints: Endpoint, **fields: object) -> Frontend:
    fields = {"family": 4, "protocol": "tcp", "port": 80, **fields}
    return Frontend(address=address, endpoints=endpoints, **fields)  # type: ignore[arg-type]


ONE, TWO, CLIENT = "10.77.0.11", "10.77.0.12", "10.77.0.200"
BALANCER = "192.0.2.10"
SIX = [Endpoint("fd77::12", port) for port in (8080, 8081, 8082)]
FRONTENDS = [
    service("10.43.0.20", POD_A, POD_B, POD_C),
    service("10.43.0.21", POD_A),
    service("10.43.0.22"),
    service("10.43.0.23", is_dropped=True),
    *(service(node, POD_C, port=30080, is_masqueraded=True) for node in (ONE, TWO)),
    *(service(node, POD_A, POD_C, port=30081, outside=(POD_A,)) for node in (ONE, TWO)),
    *(service(node, POD_A, POD_C, port=30082, outside=()) for node in (ONE, TWO)),
    service("10.43.0.26", POD_A, POD_B, POD_C, affinity_seconds=30),
    service("10.43.0.27", POD_A, protocol="udp"),
    service("10.43.0.28", Endpoint("10.77.0.12", 8080)),
    service("10.43.0.29", POD_A, protocol="sctp"),
    service(ONE, POD_A, protocol="sctp", port=30083, is_masqueraded=True),
    service(BALANCER, POD_C, is_masqueraded=True, sources=("10.42.1.3/32", f"{CLIENT}/32")),
    service(BALANCER, POD_C, port=81, is_masqueraded=True, sources=("192.0.2.128/25",)),
    service("", POD_A, port=8888),
    service("fd43::20", Endpoint("fd77::12", 8080), family=6),
    service("fd43::21", *SIX[:2], family=6, affinity_seconds=30),
    service("fd43::22", family=6),
]


@pytest.fixture(scope="module")
def cluster() -> Iterator[SimpleNamespace]:
    with Lab(nodes=2, client=True) as lab:
        one, two = lab.nodes
        pods = [lab.pod(one, POD_A.address), lab.pod(one, POD_B.address), lab.pod(two, POD_C.address)]
        for node, other, cidr in ((one, two, "10.42.2.0/24"), (two, one, "10.42.1.0/24")):
            node.run("sysctl", "-qw", "net.ipv4.ip_forward=1", "net.bridge.bridge-nf-call-iptables=1")
            node.run("ip", "route", "add", cidr, "via", other.ip)
            node.run("ip", "route", "add", "10.43.0.0/16", "dev", "eth0")
        assert lab.client
        for outer in ("10.43.0.0/16", "192.0.2.0/24"):
            lab.client.run("ip", "route", "add", outer, "via", one.ip)
        for node in lab.nodes:
            node.run("ip", "route", "add", "192.0.2.0/24", "dev", "eth0")
        for pod in (*pods, two):
            pod.start("socat", "TCP-LISTEN:8080,fork,reuseaddr", f"SYSTEM:read line; echo {pod.ip} $SOCAT_PEERADDR")
        pods[0].start("socat", "SCTP-LISTEN:8080,fork", "SYSTEM:read line; echo sctp $SOCAT_PEERADDR")
        pods[0].start("socat", "UDP-LISTEN:8080,fork", "SYSTEM:read line; echo udp $SOCAT_PEERADDR")
        for _, port, _ in SIX:
            listen = f"TCP6-LISTEN:{port},fork,ipv6only"
            two.start("socat", listen, f"SYSTEM:read line; echo six $SOCAT_PEERADDR {port}")
        for node in lab.nodes:
            node.run("ip", "-6", "route", "add", "fd43::/112", "dev", "eth0")
            with node.entered():
                install(LAYOUT, FRONTENDS)
        _wait_for_listeners(one, POD_A.address, POD_B.address, POD_C.address, two.ip)
        yield SimpleNamespace(one=one, two=two, a=pods[0], b=pods[1], c=pods[2], client=lab.client)


def _wait_for_listeners(source: Member, *addresses: str) -> None:
    deadline = time.monotonic() + 60
    for address in addresses:
        while address not in call(source, address, 8080):
            assert time.monotonic() < deadline, f"nobody listens on {address}"


def call(source: Member, address: str, port: int = 80, protocol: str = "TCP") -> str:
    """What the endpoint says: its own address and the one it sees the caller under; or why nobody answered."""
    options, patience = ("", 5) if protocol == "UDP" else (",connect-timeout=3", 60)  # UDP has no end to be heard
    standard = "-,ignoreeof" if protocol == "SCTP" else "-"  # SCTP cannot close one direction alone
    command = ("socat", f"-t{patience}", f"-T{patience}", standard, f"{protocol}:{address}:{port}{options}")
    said = source.run(*command, stdin="hello\n", check=False, timeout=90)
    for reason in ("refused", "timed out", "unreachable"):
        if reason in said:
            return reason
    return said.strip()


def test_a_pod_reaches_every_endpoint_with_its_own_address(cluster: SimpleNamespace) -> None:
    answers = {call(cluster.a, "10.43.0.20") for _ in range(40)}
    # calling itself it sees the node, or the answer would never pass the node
    assert answers == {"10.42.1.2 10.42.1.1", "10.42.1.3 10.42.1.2", "10.42.2.2 10.42.1.2"}


def test_the_node_itself_reaches_a_service(cluster: SimpleNamespace) -> None:
    assert call(cluster.one, "10.43.0.21") == "10.42.1.2 10.42.1.1"
    assert call(cluster.two, "10.43.0.21") == f"10.42.1.2 {cluster.two.ip}"


def test_a_caller_from_outside_is_masqueraded(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, "10.43.0.21") == "10.42.1.2 10.42.1.1"


def test_without_endpoints_it_is_refused_at_once(cluster: SimpleNamespace) -> None:
    for caller in (cluster.a, cluster.one, cluster.client):
        assert call(caller, "10.43.0.22") == "refused"


def test_an_address_that_is_no_service_is_refused(cluster: SimpleNamespace) -> None:
    for caller in (cluster.a, cluster.one, cluster.client):
        assert call(caller, "10.43.99.99") == "refused"


def test_a_port_the_service_does_not_have_is_refused(cluster: SimpleNamespace) -> None:
    assert call(cluster.a, "10.43.0.21", 81) == "refused"


def test_endpoints_that_policy_keeps_away_mean_silence(cluster: SimpleNamespace) -> None:
    assert call(cluster.a, "10.43.0.23") == "timed out"


def test_a_node_port_answers_on_every_node_for_a_pod_elsewhere(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, cluster.one.ip, 30080) == f"10.42.2.2 {cluster.one.ip}"
    assert call(cluster.client, cluster.two.ip, 30080) == "10.42.2.2 10.42.2.1"
    assert call(cluster.a, cluster.one.ip, 30080).startswith("10.42.2.2 ")
    assert call(cluster.one, cluster.one.ip, 30080).startswith("10.42.2.2 ")


def test_a_node_port_never_answers_on_loopback(cluster: SimpleNamespace) -> None:
    assert call(cluster.one, "127.0.0.1", 30080) == "refused"


def test_external_policy_local_keeps_the_callers_address(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, cluster.one.ip, 30081) == f"10.42.1.2 {cluster.client.ip}"


def test_external_policy_local_is_not_for_pods_and_the_node_itself(cluster: SimpleNamespace) -> None:
    for caller in (cluster.a, cluster.one):
        assert {call(caller, ONE, 30081).split()[0] for _ in range(30)} == {"10.42.1.2", "10.42.2.2"}
        assert {call(caller, ONE, 30082).split()[0] for _ in range(30)} == {"10.42.1.2", "10.42.2.2"}


def test_external_policy_local_without_a_local_endpoint_means_silence(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, ONE, 30082) == "timed out"


def test_a_balancers_address_answers_its_source_ranges_alone(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, BALANCER) == f"10.42.2.2 {ONE}"
    assert call(cluster.b, BALANCER).startswith("10.42.2.2 ")
    assert call(cluster.a, BALANCER) == "timed out"
    assert call(cluster.client, BALANCER, 81) == "timed out"


def test_a_host_port_answers_on_its_node(cluster: SimpleNamespace) -> None:
    assert call(cluster.client, ONE, 8888) == f"10.42.1.2 {CLIENT}"
    assert call(cluster.b, ONE, 8888) == "10.42.1.2 10.42.1.3"
    assert call(cluster.a, ONE, 8888) == "10.42.1.2 10.42.1.1"
    assert call(cluster.one, ONE, 8888) == "10.42.1.2 10.42.1.1"
    assert call(cluster.one, "127.0.0.1", 8888) == "refused"


def test_a_sticky_client_stays_with_one_endpoint(cluster: SimpleNamespace) -> None:
    for client in (cluster.client, cluster.a, cluster.one):
        assert len({call(client, "10.43.0.26").split()[0] for _ in range(8)}) == 1


def test_a_sticky_client_stays_over_ipv6_when_endpoints_change(cluster: SimpleNamespace) -> None:
    def ports() -> set[str]:
        return {call(cluster.one, "[fd43::21]", protocol="TCP6").split()[-1] for _ in range(8)}

    before = ports()
    (port,) = before
    had, has = (build([service("fd43::21", *some, family=6, affinity_seconds=30)]) for some in (SIX[:2], SIX))
    with cluster.one.entered():
        write(LAYOUT, Installed().change(had, has))
    assert ports() == before
    with cluster.one.entered(), contextlib.closing(nft.Table("pylet", rules.TYPES | rules.AFFINITY)) as table:
        left = [element for element in has if element.value == f"fd77::12 . {port}"]
        affinity.forget(table, Changes(left, []))
        assert not table.elements("affinity6")
        write(LAYOUT, Installed().change(has, had))


@pytest.mark.skipif(not _HAS_SCTP, reason="this kernel has no SCTP sockets")
def test_sctp_is_served(cluster: SimpleNamespace) -> None:
    assert call(cluster.b, "10.43.0.29", protocol="SCTP") == "sctp 10.42.1.3"
    assert call(cluster.client, "10.43.0.29", protocol="SCTP") == "sctp 10.42.1.1"
    assert call(cluster.client, ONE, 30083, protocol="SCTP") == "sctp 10.42.1.1"


def test_ipv6_is_served(cluster: SimpleNamespace) -> None:
    for address in ("[fd43::20]", "[fd43::21]"):
        assert call(cluster.one, address, protocol="TCP6").startswith("six [fd77:")
    assert call(cluster.one, "[fd43::22]", protocol="TCP6") == "refused"


def test_udp_is_served(cluster: SimpleNamespace) -> None:
    assert call(cluster.b, "10.43.0.27", protocol="UDP") == "udp 10.42.1.3"


def test_a_pod_leaves_the_cluster_with_its_nodes_address(cluster: SimpleNamespace) -> None:
    assert call(cluster.a, cluster.two.ip, 8080) == f"{cluster.two.ip} {cluster.one.ip}"
    assert call(cluster.a, "10.43.0.28") == f"{cluster.two.ip} {cluster.one.ip}"


def test_foreign_tables_are_left_alone(cluster: SimpleNamespace) -> None:
    cluster.two.run("nft", "add table inet other; add chain inet other mine")
    with cluster.two.entered():
        install(LAYOUT, FRONTENDS)
    assert "chain mine" in cluster.two.run("nft", "list", "ruleset")
