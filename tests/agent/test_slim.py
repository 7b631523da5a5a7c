"""What a node keeps of Services and EndpointSlices makes the same frontends, and is less."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.agent.proxy.model import Here, frontends
from pylet.agent.slim import endpoint_slice, service
from pylet.api.clusterdns import is_answered_by_nodes

META: Any = {
    "name": "web",
    "namespace": "x",
    "uid": "u",
    "resourceVersion": "7",
    "creationTimestamp": "2026-01-02T03:04:05Z",
    "managedFields": [{"manager": "kubectl", "fieldsV1": {"f:spec": {}}}],
}
SERVICE: Any = {
    "kind": "Service",
    "metadata": META | {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": "{}", "mine": "1"}},
    "spec": {
        "clusterIPs": ["10.43.0.7"],
        "ipFamilies": ["IPv4"],
        "internalTrafficPolicy": "Cluster",
        "ports": [{"name": "http", "port": 80, "targetPort": 8080}],
        "selector": {"app": "a"},
        "sessionAffinity": "None",
        "type": "ClusterIP",
    },
    "status": {"loadBalancer": {}},
}
ENDPOINT: Any = {
    "addresses": ["10.42.0.7"],
    "conditions": {"ready": True, "serving": True, "terminating": False},
    "nodeName": "n1",
    "zone": "a",
    "targetRef": {"kind": "Pod", "namespace": "x", "name": "web-1", "uid": "p"},
}
ELSEWHERE: Any = ENDPOINT | {"addresses": ["10.42.1.7"], "nodeName": "n2"}
ENDING: Any = ELSEWHERE | {"conditions": {"ready": False, "serving": True, "terminating": True}}
SLICE: Any = {
    "kind": "EndpointSlice",
    "metadata": META | {"labels": {"kubernetes.io/service-name": "web", "app": "a"}, "ownerReferences": [{"uid": "u"}]},
    "addressType": "IPv4",
    "ports": [{"name": "http", "port": 8080}],
    "endpoints": [ENDPOINT, ELSEWHERE, ENDING],
}


def test_a_usual_service_is_little() -> None:
    assert service(SERVICE) == {
        "metadata": {"name": "web", "namespace": "x", "resourceVersion": "7"},
        "spec": {"clusterIPs": ["10.43.0.7"], "ports": [{"name": "http", "port": 80}]},
    }


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"type": "NodePort", "externalTrafficPolicy": "Local", "internalTrafficPolicy": "Local"},
        {"sessionAffinity": "ClientIP", "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 7}}},
        {"type": "LoadBalancer", "externalTrafficPolicy": "Cluster", "loadBalancerSourceRanges": ["10.0.0.0/8"]},
        {"type": "ExternalName", "externalName": "a.example"},
        {"externalIPs": ["192.0.2.7"]},
    ],
)
def test_what_is_kept_makes_the_same_frontends(spec: Any) -> None:
    ports = [{"name": "http", "port": 80, "targetPort": "web", "nodePort": 30080}]
    asked = {**SERVICE, "spec": SERVICE["spec"] | {"ports": ports} | spec}
    for endpoints in ([ENDPOINT, ELSEWHERE], [ENDING], []):
        behind = {**SLICE, "endpoints": endpoints}
        here = Here("n1", addresses=("192.0.2.1",), external_ips=True)
        assert frontends(service(asked), [endpoint_slice("n1", behind)], here) == frontends(asked, [behind], here)


def test_of_a_slice_those_endpoints_say_which_pod_they_are_that_are_here() -> None:
    assert endpoint_slice("n1", SLICE) == {
        "metadata": {
            "name": "web", "namespace": "x", "resourceVersion": "7", "labels": {"kubernetes.io/service-name": "web"}
        },
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": 8080}],
        "endpoints": [
            {
                "addresses": ["10.42.0.7"],
                "nodeName": "n1",
                "targetRef": {"kind": "Pod", "namespace": "x", "name": "web-1"},
            },
            {"addresses": ["10.42.1.7"], "nodeName": "n2"},
            {"addresses": ["10.42.1.7"], "nodeName": "n2", "conditions": ENDING["conditions"]},
        ],
    }  # fmt: skip


def test_a_slice_may_be_without_endpoints() -> None:
    assert endpoint_slice("n1", {"metadata": META, "endpoints": None})["endpoints"] == []


@pytest.mark.parametrize("selector", [{"k8s-app": "kube-dns"}, None], ids=["pods", "nodes"])
def test_it_is_known_who_answers_for_the_clusters_dns(selector: Any) -> None:
    dns = {"metadata": {"namespace": "kube-system", "name": "kube-dns"}, "spec": {"selector": selector}}
    assert is_answered_by_nodes(service(dns)) is (selector is None)
