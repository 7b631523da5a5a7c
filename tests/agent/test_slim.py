"""What a node keeps of Services and EndpointSlices makes the same frontends, and is less."""

from __future__ import annotations

from typing import Any

from pylet.agent.proxy.model import Here, frontends
from pylet.agent.slim import endpoint_slice, service

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
    "spec": {"clusterIPs": ["10.43.0.7"], "ports": [{"port": 80}], "type": "ClusterIP"},
}
ENDPOINT: Any = {
    "addresses": ["10.42.0.7"],
    "conditions": {"ready": True},
    "nodeName": "n1",
    "zone": "a",
    "targetRef": {"kind": "Pod", "namespace": "x", "name": "web-1", "uid": "p"},
}
SLICE: Any = {
    "kind": "EndpointSlice",
    "metadata": META | {"labels": {"kubernetes.io/service-name": "web"}, "ownerReferences": [{"uid": "u"}]},
    "addressType": "IPv4",
    "ports": [{"port": 8080}],
    "endpoints": [ENDPOINT],
}


def test_what_is_kept_is_what_the_node_reads() -> None:
    slim = service(SERVICE), endpoint_slice(SLICE)
    assert frontends(slim[0], [slim[1]], Here("n1")) == frontends(SERVICE, [SLICE], Here("n1"))
    assert slim[0]["metadata"] == {
        "name": "web", "namespace": "x", "uid": "u", "resourceVersion": "7", "annotations": {"mine": "1"}
    }  # fmt: skip
    assert slim[1]["metadata"]["labels"] == SLICE["metadata"]["labels"]
    assert slim[1]["endpoints"][0]["targetRef"] == {"kind": "Pod", "namespace": "x", "name": "web-1"}


def test_a_slice_may_be_without_endpoints() -> None:
    assert endpoint_slice({"metadata": META, "endpoints": None})["endpoints"] == []
