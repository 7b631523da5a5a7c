"""What a Service must look like: its addresses, its traffic, and what balancers say of it."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Object

ADDRESSES = {"clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"], "ipFamilies": ["IPv4"]}


def service(status: Object | None = None, **spec: Any) -> Object:
    plain = {
        "type": "ClusterIP",
        "sessionAffinity": "None",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}],
    }
    return {"metadata": {"name": "s", "namespace": "a"}, "spec": {**plain, **ADDRESSES, **spec}, "status": status or {}}


@pytest.mark.parametrize(
    ("spec", "wrong"),
    [
        pytest.param({}, [], id="well"),
        pytest.param({"clusterIP": "None", "clusterIPs": ["None"], "ipFamilies": ["IPv6"]}, [], id="headless"),
        pytest.param(
            {"clusterIP": "None", "clusterIPs": ["None", "10.43.0.9"]},
            [("spec.clusterIPs", "'None' must be the first and only value")],
            id="headless and not",
        ),
        pytest.param(
            {"ipFamilies": ["IPv6"]},
            [("spec.clusterIPs[0]", "expected an IPv6 value as indicated by `ipFamilies[0]`")],
            id="of another family",
        ),
        pytest.param(
            {"ipFamilies": ["IPv5"]},
            [("spec.ipFamilies[0]", 'supported values: "IPv4", "IPv6"')],
            id="of no family",
        ),
        pytest.param(
            {"clusterIPs": ["10.43.0.9", "10.43.0.8"]},
            [("spec.clusterIPs", "may specify no more than one IP for each IP family")],
            id="two of a family",
        ),
        pytest.param(
            {"externalTrafficPolicy": "Local"},
            [("spec.externalTrafficPolicy", "may only be set for externally-accessible services")],
            id="a policy for nobody outside",
        ),
        pytest.param({"externalTrafficPolicy": "Local", "externalIPs": ["192.0.2.1"]}, [], id="outside by an address"),
        pytest.param(
            {"type": "NodePort"},
            [("spec.externalTrafficPolicy", 'supported values: "Cluster", "Local"')],
            id="no policy for those outside",
        ),
    ],
)
def test_what_is_wrong_with_a_service(spec: Object, wrong: list[tuple[str, str]]) -> None:
    found = SERVICE.strategy.validate(service(**spec))
    assert [(cause.field, cause.message.endswith(said)) for cause, (_, said) in zip(found, wrong, strict=True)] == [
        (field, True) for field, _ in wrong
    ]


@pytest.mark.parametrize(
    ("type_", "ingress", "wrong"),
    [
        pytest.param("LoadBalancer", {"ip": "192.0.2.1", "ipMode": "VIP"}, [], id="an address"),
        pytest.param("LoadBalancer", {"hostname": "lb.example"}, [], id="a name"),
        pytest.param("ClusterIP", {"hostname": "lb.example"}, [""], id="not balanced"),
        pytest.param("LoadBalancer", {"ip": "192.0.2.1"}, ["[0].ipMode"], id="no mode"),
        pytest.param("LoadBalancer", {"hostname": "lb.test", "ipMode": "VIP"}, ["[0].ipMode"], id="of nothing"),
        pytest.param("LoadBalancer", {"ip": "192.0.2.1", "ipMode": "x"}, ["[0].ipMode"], id="an unknown mode"),
        pytest.param("LoadBalancer", {"ip": "x", "ipMode": "VIP"}, ["[0].ip"], id="no address"),
        pytest.param("LoadBalancer", {"hostname": "a_b"}, ["[0].hostname"], id="no name"),
        pytest.param("LoadBalancer", {"hostname": "192.0.2.1"}, ["[0].hostname"], id="an address for a name"),
    ],
)
def test_what_a_balancer_says(type_: str, ingress: Object, wrong: list[str]) -> None:
    told = service({"loadBalancer": {"ingress": [ingress]}}, type=type_)
    found = SERVICE.strategy.validate_update(told, service(type=type_), "status")
    assert [cause.field.removeprefix("status.loadBalancer.ingress") for cause in found] == wrong
