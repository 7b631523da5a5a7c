"""Where a node takes a service's traffic, and which endpoints it uses."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.agent.proxy.model import Endpoint, Frontend, Here, frontends, health_check, host_ports
from pylet.api.object import Object

HERE = Here("here", zone="east", addresses=("192.0.2.1", "2001:db8::1"))


def service(**spec: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"], "ports": [{"port": 80}], **spec},
    }


def slice_of(*endpoints: Object, family: str = "IPv4", **port: Any) -> Object:
    return {"addressType": family, "ports": [{"port": 8080, "protocol": "TCP", **port}], "endpoints": list(endpoints)}


def endpoint(address: str, node: str = "there", *, zones: tuple[str, ...] = (), **conditions: bool) -> Object:
    hints = {"hints": {"forZones": [{"name": zone} for zone in zones]}} if zones else {}
    return {"addresses": [address], "nodeName": node, "conditions": conditions, **hints}


def addresses(found: tuple[Endpoint, ...] | None) -> list[str]:
    return [one.address for one in found or ()]


READY, UNREADY = {"ready": True}, {"ready": False, "serving": False}
LEAVING = {"ready": False, "serving": True, "terminating": True}


@pytest.mark.parametrize(
    ("conditions", "used"),
    [
        pytest.param([READY, READY], [0, 1], id="all ready ones are used"),
        pytest.param([{}], [0], id="unknown means ready"),
        pytest.param([READY, UNREADY], [0], id="one that is not ready is not"),
        pytest.param([READY, LEAVING], [0], id="a terminating one is not while another is ready"),
        pytest.param([UNREADY, LEAVING], [1], id="a terminating one that serves is when no other is left"),
        pytest.param([{"ready": False, "serving": True}], [], id="serving without terminating does not help"),
    ],
)
def test_readiness(conditions: list[dict[str, bool]], used: list[int]) -> None:
    endpoints = [endpoint(f"10.42.0.{number}", **each) for number, each in enumerate(conditions)]
    (found,) = frontends(service(), [slice_of(*endpoints)], HERE)
    assert addresses(found.endpoints) == [f"10.42.0.{number}" for number in used]


LOCAL, FAR = endpoint("10.42.0.1", "here"), endpoint("10.42.1.1", "there")
LOCAL_LEAVING = endpoint("10.42.0.2", "here", **LEAVING)


@pytest.mark.parametrize(
    ("endpoints", "used", "dropped"),
    [
        pytest.param([LOCAL, FAR], ["10.42.0.1"], True, id="this node's alone"),
        pytest.param([FAR], [], True, id="none here: silence, for others have some"),
        pytest.param([LOCAL_LEAVING, FAR], ["10.42.0.2"], True, id="a terminating one here before none"),
        pytest.param([], [], False, id="none at all: refused"),
    ],
)
def test_internal_policy_local(endpoints: list[Object], used: list[str], *, dropped: bool) -> None:
    (found,) = frontends(service(internalTrafficPolicy="Local"), [slice_of(*endpoints)], HERE)
    assert (addresses(found.endpoints), found.is_dropped) == (used, dropped)


@pytest.mark.parametrize(
    ("endpoints", "inside", "outside"),
    [
        pytest.param([LOCAL, FAR], ["10.42.0.1", "10.42.1.1"], ["10.42.0.1"], id="pods are not bound by it"),
        pytest.param([FAR], ["10.42.1.1"], [], id="none here: silence for callers outside"),
        pytest.param([], [], None, id="none at all: refused for everybody"),
    ],
)
def test_external_policy_local(endpoints: list[Object], inside: list[str], outside: list[str] | None) -> None:
    spec = service(externalTrafficPolicy="Local", ports=[{"port": 80, "nodePort": 30000}])
    cluster, node = frontends(spec, [slice_of(*endpoints)], HERE)
    assert addresses(cluster.endpoints) == inside
    assert addresses(node.endpoints) == inside
    assert (None if node.outside is None else addresses(node.outside)) == outside
    assert not node.is_masqueraded


def test_a_node_port_answers_at_the_nodes_addresses_of_its_family() -> None:
    spec = service(ports=[{"port": 80, "nodePort": 30000}])
    _, node = frontends(spec, [slice_of(FAR)], HERE)
    assert (node.name, node.is_masqueraded) == ("192.0.2.1 . tcp . 30000", True)


def named(found: tuple[Frontend, ...]) -> list[str]:
    return [frontend.address for frontend in found]


def test_external_addresses_are_served_only_where_allowed() -> None:
    spec = service(externalIPs=["198.51.100.1", "2001:db8::5"])
    assert named(frontends(spec, [], HERE)) == ["10.43.0.7"]
    assert named(frontends(spec, [], Here("here", external_ips=True))) == ["10.43.0.7", "198.51.100.1"]


def test_a_balancers_address_is_served_unless_it_proxies_itself() -> None:
    ingress = [
        {"ip": "198.51.100.1"},
        {"ip": "198.51.100.2", "ipMode": "VIP"},
        {"ip": "198.51.100.3", "ipMode": "Proxy"},
        {"hostname": "balancer.example"},
        {"ip": "2001:db8::5"},
    ]
    spec = service(type="LoadBalancer") | {"status": {"loadBalancer": {"ingress": ingress}}}
    assert named(frontends(spec, [], HERE)) == ["10.43.0.7", "198.51.100.1", "198.51.100.2"]


@pytest.mark.parametrize(
    ("ranges", "sources"),
    [
        pytest.param(["198.51.100.0/24", " 10.0.0.0/8"], ("10.0.0.0/8", "198.51.100.0/24"), id="blanks are forgiven"),
        pytest.param(["10.0.0.0/8", "10.1.0.0/16"], ("10.0.0.0/8",), id="one inside another"),
        pytest.param(["10.0.0.0/8", "0.0.0.0/0"], (), id="everybody"),
        pytest.param(["2001:db8::/32"], (), id="none of this family"),
        pytest.param(
            ["192.0.2.0/24"], ("192.0.2.0/24", "203.0.113.9/32"), id="this node: it may have the address itself"
        ),
    ],
)
def test_source_ranges(ranges: list[str], sources: tuple[str, ...]) -> None:
    spec = service(type="LoadBalancer", loadBalancerSourceRanges=ranges)
    spec["status"] = {"loadBalancer": {"ingress": [{"ip": "203.0.113.9"}]}}
    assert frontends(spec, [], HERE)[1].sources == sources


def test_affinity_has_the_seconds_that_were_asked_for() -> None:
    asked = {"clientIP": {"timeoutSeconds": 30}}
    (found,) = frontends(service(sessionAffinity="ClientIP", sessionAffinityConfig=asked), [], HERE)
    assert found.affinity_seconds == 30
    assert frontends(service(sessionAffinity="None"), [], HERE)[0].affinity_seconds == 0


@pytest.mark.parametrize(
    ("zones", "used"),
    [
        pytest.param([("east",), ("west",)], [0], id="those for this node's zone"),
        pytest.param([("west",), ("west",)], [0, 1], id="all, where none is for this zone"),
        pytest.param([("east",), ()], [0, 1], id="all, where one has no hint"),
    ],
)
def test_zone_hints(zones: list[tuple[str, ...]], used: list[int]) -> None:
    endpoints = [endpoint(f"10.42.0.{number}", zones=each) for number, each in enumerate(zones)]
    (found,) = frontends(service(), [slice_of(*endpoints)], HERE)
    assert addresses(found.endpoints) == [f"10.42.0.{number}" for number in used]


def test_a_hint_for_this_node_goes_before_its_zone() -> None:
    hinted = endpoint("10.42.0.1", zones=("east",)), endpoint("10.42.0.2", zones=("east",))
    for one, node in zip(hinted, ("here", "there"), strict=True):
        one["hints"]["forNodes"] = [{"name": node}]
    (found,) = frontends(service(), [slice_of(*hinted)], HERE)
    assert addresses(found.endpoints) == ["10.42.0.1"]


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"clusterIP": "None", "clusterIPs": ["None"]}, id="a headless one"),
        pytest.param(
            {"type": "ExternalName", "externalName": "example.com", "clusterIP": "", "clusterIPs": []}, id="a name"
        ),
    ],
)
def test_nothing_for(spec: Object) -> None:
    assert frontends(service(**spec), [slice_of(endpoint("10.42.0.1"))], HERE) == ()


def test_a_service_of_another_proxy_is_left_to_it() -> None:
    foreign = service()
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    assert frontends(foreign, [], HERE) == ()


def test_ports_meet_by_name_and_protocol() -> None:
    spec = service(ports=[{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}])
    slices = [slice_of(endpoint("10.42.0.1"), name="dns", protocol="UDP", port=5353)]
    udp, tcp = frontends(spec, slices, HERE)
    assert udp.endpoints == (Endpoint("10.42.0.1", 5353),)
    assert udp.serving == {("10.42.0.1", 5353)}
    assert tcp.endpoints == ()


def test_each_family_has_its_own_endpoints() -> None:
    spec = service(clusterIPs=["10.43.0.7", "fd43::7"])
    slices = [slice_of(endpoint("10.42.0.1")), slice_of(endpoint("fd42::1"), family="IPv6")]
    found = [(one.family, *addresses(one.endpoints)) for one in frontends(spec, slices, HERE)]
    assert found == [(4, "10.42.0.1"), (6, "fd42::1")]


def test_an_endpoint_in_two_slices_counts_once() -> None:
    (found,) = frontends(service(), [slice_of(endpoint("10.42.0.1")), slice_of(endpoint("10.42.0.1"))], HERE)
    assert len(found.endpoints) == 1


def test_a_health_check_counts_the_ready_endpoints_of_this_node() -> None:
    spec = service(type="LoadBalancer", externalTrafficPolicy="Local", healthCheckNodePort=31000)
    assert health_check(spec, [slice_of(LOCAL, LOCAL_LEAVING, FAR)], "here") == (31000, 1)
    assert health_check(spec, [slice_of(FAR)], "here") == (31000, 0)
    assert health_check(service(), [slice_of(LOCAL)], "here") is None


@pytest.mark.parametrize(
    "spec",
    [
        {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster", "healthCheckNodePort": 31000},
        {"type": "NodePort", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000},
        {"type": "LoadBalancer", "externalTrafficPolicy": "Local"},
    ],
    ids=["everywhere", "no balancer", "no port"],
)
def test_who_is_balanced_to_all_nodes_is_not_asked_for_its_health(spec: Object) -> None:
    assert health_check(service(**spec), [slice_of(LOCAL)], "here") is None


def pod(*ports: Object, **status: Any) -> Object:
    addresses = [{"ip": "10.42.0.1"}, {"ip": "fd42::1"}]
    return {"spec": {"containers": [{"ports": list(ports)}]}, "status": {"podIPs": addresses, **status}}


@pytest.mark.parametrize(
    ("port", "names"),
    [
        pytest.param({"hostPort": 80}, ["4  . tcp . 80", "6  . tcp . 80"], id="everywhere, in both families"),
        pytest.param({"hostPort": 80, "hostIP": "0.0.0.0"}, ["4  . tcp . 80"], id="everywhere in one family"),
        pytest.param(
            {"hostPort": 80, "hostIP": "127.0.0.1", "protocol": "UDP"}, ["4 127.0.0.1 . udp . 80"], id="at one address"
        ),
        pytest.param({}, [], id="none asked for"),
    ],
)
def test_host_ports(port: Object, names: list[str]) -> None:
    found = host_ports(pod({"containerPort": 8080, **port}))
    assert [f"{one.family} {one.name}" for one in found] == names


def test_a_pod_that_ended_has_no_host_ports() -> None:
    assert host_ports(pod({"containerPort": 8080, "hostPort": 80}, phase="Succeeded")) == ()
