"""Which endpoints a node uses for a service."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.agent.proxy.model import Endpoint, ports
from pylet.api.object import Object


def service(**spec: Any) -> Object:
    return {
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"clusterIP": "10.43.0.7", "clusterIPs": ["10.43.0.7"], "ports": [{"port": 80}], **spec},
    }


def slice_of(*endpoints: Object, family: str = "IPv4", **port: Any) -> Object:
    return {"addressType": family, "ports": [{"port": 8080, "protocol": "TCP", **port}], "endpoints": list(endpoints)}


def endpoint(address: str, node: str = "there", **conditions: bool) -> Object:
    return {"addresses": [address], "nodeName": node, "conditions": conditions}


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
    (port,) = ports(service(), [slice_of(*endpoints)], "here")
    assert [found.address for found in port.internal.endpoints] == [f"10.42.0.{number}" for number in used]


def test_local_policies_use_this_nodes_endpoints_alone() -> None:
    slices = [slice_of(endpoint("10.42.0.1", "here"), endpoint("10.42.1.1", "there"))]
    spec = service(
        internalTrafficPolicy="Local", externalTrafficPolicy="Local", ports=[{"port": 80, "nodePort": 30000}]
    )
    (here,) = ports(spec, slices, "here")
    assert here.internal.endpoints == here.external.endpoints == (Endpoint("10.42.0.1", 8080, True),)
    (elsewhere,) = ports(spec, slices, "elsewhere")
    assert (elsewhere.internal.endpoints, elsewhere.internal.has_remote) == ((), True)


@pytest.mark.parametrize(
    "spec",
    [
        pytest.param({"clusterIP": "None", "clusterIPs": ["None"]}, id="a headless one"),
        pytest.param(
            {"type": "ExternalName", "externalName": "example.com", "clusterIP": "", "clusterIPs": []}, id="a name"
        ),
    ],
)
def test_no_ports_for(spec: Object) -> None:
    assert ports(service(**spec), [slice_of(endpoint("10.42.0.1"))], "here") == ()


def test_a_service_of_another_proxy_is_left_to_it() -> None:
    foreign = service()
    foreign["metadata"]["labels"] = {"service.kubernetes.io/service-proxy-name": "other"}
    assert ports(foreign, [], "here") == ()


def test_ports_meet_by_name_and_protocol() -> None:
    spec = service(ports=[{"name": "dns", "port": 53, "protocol": "UDP"}, {"name": "dns-tcp", "port": 53}])
    slices = [slice_of(endpoint("10.42.0.1"), name="dns", protocol="UDP", port=5353)]
    udp, tcp = ports(spec, slices, "here")
    assert udp.internal.endpoints == (Endpoint("10.42.0.1", 5353),)
    assert tcp.internal.endpoints == ()


def test_each_family_has_its_own_endpoints() -> None:
    spec = service(clusterIPs=["10.43.0.7", "fd43::7"])
    slices = [slice_of(endpoint("10.42.0.1")), slice_of(endpoint("fd42::1"), family="IPv6")]
    assert [(p.family, p.internal.endpoints[0].address) for p in ports(spec, slices, "here")] == [
        (4, "10.42.0.1"),
        (6, "fd42::1"),
    ]


def test_an_endpoint_in_two_slices_counts_once() -> None:
    (port,) = ports(service(), [slice_of(endpoint("10.42.0.1")), slice_of(endpoint("10.42.0.1"))], "here")
    assert len(port.internal.endpoints) == 1
