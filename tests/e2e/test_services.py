"""Every kind of Service, a host port and a policy, from a pod, from a node and from outside, on real containers."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, all_answer, eventually
from tests.netns import Member

BALANCER = "198.51.100.10"
Caller = Callable[[str], str]
"""Fetches a URL; raises AssertionError where nobody answers."""


def _server(name: str, node: str, **container: Any) -> Any:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": "web", "pod": name}},
        "spec": {
            "nodeName": node,
            "terminationGracePeriodSeconds": 0,
            "containers": [
                {
                    "name": "web",
                    "image": "pylet.local/busybox:1",
                    "imagePullPolicy": "IfNotPresent",
                    "command": ["/bin/sh", "-c", "hostname > /tmp/index.html; exec httpd -f -p 8080 -h /tmp"],
                    "ports": [{"containerPort": 8080, "name": "http", **container}],
                }
            ],
        },
    }


def _service(name: str, **spec: Any) -> Any:
    ports = [{"port": 80, "targetPort": "http"}]
    meta = {"name": name, "namespace": "default"}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": meta,
        "spec": {"selector": {"app": "web"}, "ports": ports, **spec},
    }


def apply(cluster: Cluster, *objects: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture(scope="module")
def services(cluster: Cluster) -> dict[str, Any]:
    """Two servers, one a node, and a Service of each kind, by name."""
    apply(
        cluster,
        _server("web-1", "node1", hostPort=8081),
        _server("web-2", "node2"),
        _service("plain"),
        _service("local", internalTrafficPolicy="Local"),
        _service("sticky", sessionAffinity="ClientIP"),
        _service("ports", type="NodePort"),
        _service("balanced", type="LoadBalancer", loadBalancerClass="example.test/by-hand"),
        _service(
            "balanced-local",
            type="LoadBalancer",
            loadBalancerClass="example.test/by-hand",
            externalTrafficPolicy="Local",
        ),
        _service(
            "ranged",
            type="LoadBalancer",
            loadBalancerClass="example.test/by-hand",
            loadBalancerSourceRanges=["203.0.113.0/24"],
        ),
    )
    for number, name in enumerate(("balanced", "balanced-local", "ranged")):
        address = f"{BALANCER}{number}"
        status = {"status": {"loadBalancer": {"ingress": [{"ip": address}]}}}
        cluster.kubectl("patch", "service", name, "--subresource=status", "--type=merge", "-p", json.dumps(status))
    cluster.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=180s")
    for member in (cluster.client, *(node.member for node in cluster.nodes)):
        member.run("ip", "route", "replace", "198.51.100.0/24", "via", cluster.server.member.ip, check=False)
    return {item["metadata"]["name"]: item for item in cluster.get("services")["items"]}


def _fetch(member: Member, url: str) -> str:
    return member.run("curl", "-sS", "-m", "10", url).strip()


@pytest.fixture
def callers(cluster: Cluster) -> dict[str, Caller]:
    def from_pod(url: str) -> str:
        host, _, port = url.removeprefix("http://").strip("/").partition(":")
        request = f"printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 10 {host} {port or 80}"
        return cluster.kubectl("exec", "web-1", "--", "sh", "-c", request).strip().splitlines()[-1]

    return {
        "a pod": from_pod,
        "a node": lambda url: _fetch(cluster.nodes[0].member, url),
        "the other node": lambda url: _fetch(cluster.nodes[1].member, url),
        "outside": lambda url: _fetch(cluster.client, url),
    }


def answers(call: Caller, url: str, *, times: int = 12) -> set[str]:
    eventually(f"{url} answers", lambda: call(url))
    return {call(url) for _ in range(times)}


def both_answer(call: Caller, url: str) -> None:
    eventually(f"{url} answers", lambda: call(url))
    all_answer({"web-1", "web-2"}, lambda: call(url))


@pytest.mark.parametrize("who", ["a pod", "a node", "the other node"])
def test_a_cluster_address_reaches_all(services: dict[str, Any], callers: dict[str, Caller], who: str) -> None:
    both_answer(callers[who], f"http://{services['plain']['spec']['clusterIP']}")


@pytest.mark.parametrize(("who", "own"), [("a pod", "web-1"), ("a node", "web-1"), ("the other node", "web-2")])
def test_internal_policy_local_stays_on_the_node(
    services: dict[str, Any], callers: dict[str, Caller], who: str, own: str
) -> None:
    assert answers(callers[who], f"http://{services['local']['spec']['clusterIP']}") == {own}


@pytest.mark.parametrize("who", ["a pod", "a node"])
def test_a_sticky_client_stays(services: dict[str, Any], callers: dict[str, Caller], who: str) -> None:
    assert len(answers(callers[who], f"http://{services['sticky']['spec']['clusterIP']}")) == 1


@pytest.mark.parametrize("who", ["a pod", "a node", "the other node", "outside"])
def test_a_node_port_reaches_all_at_every_node(
    cluster: Cluster, services: dict[str, Any], callers: dict[str, Caller], who: str
) -> None:
    port = services["ports"]["spec"]["ports"][0]["nodePort"]
    for node in cluster.nodes:
        both_answer(callers[who], f"http://{node.member.ip}:{port}")


@pytest.mark.parametrize("who", ["a pod", "a node", "outside"])
def test_a_balancers_address_reaches_all(services: dict[str, Any], callers: dict[str, Caller], who: str) -> None:
    both_answer(callers[who], f"http://{BALANCER}0")


def test_external_policy_local_binds_callers_outside_alone(
    services: dict[str, Any], callers: dict[str, Caller]
) -> None:
    assert answers(callers["outside"], f"http://{BALANCER}1") == {"web-1"}
    both_answer(callers["a pod"], f"http://{BALANCER}1")


def test_a_health_check_says_what_a_node_has(cluster: Cluster, services: dict[str, Any]) -> None:
    port = services["balanced-local"]["spec"]["healthCheckNodePort"]
    url = f"http://{cluster.server.member.ip}:{port}"
    said = eventually(
        "the node has one", lambda: (it := json.loads(_fetch(cluster.client, url)))["localEndpoints"] and it
    )
    assert said["service"] == {"namespace": "default", "name": "balanced-local"}
    assert said["localEndpoints"] == 1


def test_source_ranges_keep_others_out(services: dict[str, Any], callers: dict[str, Caller]) -> None:
    def is_dropped() -> bool:
        with pytest.raises(AssertionError, match="exit 28"):
            callers["outside"](f"http://{BALANCER}2")
        return True

    eventually("callers elsewhere are not heard", is_dropped)


def test_a_host_port_answers_on_its_node(
    cluster: Cluster, services: dict[str, Any], callers: dict[str, Caller]
) -> None:
    url = f"http://{cluster.nodes[0].member.ip}:8081"
    for who in ("outside", "a pod", "the other node"):
        assert answers(callers[who], url, times=1) == {"web-1"}


def test_a_policy_closes_and_opens(cluster: Cluster, services: dict[str, Any], callers: dict[str, Caller]) -> None:
    """On both nodes: web-1 calls web-2, whose node learns of the policy over the API alone."""
    target = cluster.get("pod", "web-2")["status"]["podIP"]
    url = f"http://{target}:8080"
    eventually("nothing is forbidden", lambda: callers["a pod"](url) == "web-2")
    deny = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "deny", "namespace": "default"},
        "spec": {"podSelector": {"matchLabels": {"pod": "web-2"}}, "policyTypes": ["Ingress"]},
    }
    apply(cluster, deny)

    def is_closed() -> bool:
        try:
            callers["a pod"](url)
        except (AssertionError, IndexError):
            return True
        return False

    eventually("the policy closes", is_closed)
    assert answers(callers["the other node"], url, times=1) == {"web-2"}  # its own node's probes pass
    peers = [{"from": [{"podSelector": {"matchLabels": {"pod": "web-1"}}}], "ports": [{"port": "http"}]}]
    apply(cluster, {**deny, "spec": {**deny["spec"], "ingress": peers}})
    eventually("the policy opens", lambda: callers["a pod"](url) == "web-2")
    cluster.kubectl("delete", "networkpolicy", "deny")


def test_annotations_bound_what_a_pod_sends_and_receives(cluster: Cluster) -> None:
    size = 2_000_000
    rates: dict[str, dict[str, str]] = {"free": {}, "sends": {"egress": "8M"}, "receives": {"ingress": "8M"}}
    for name, rate in rates.items():
        pod = _server(name, "node1")
        pod["metadata"]["labels"] = {}
        pod["metadata"]["annotations"] = {f"kubernetes.io/{way}-bandwidth": value for way, value in rate.items()}
        fill = f"head -c {size} /dev/zero > /tmp/zeros"
        pod["spec"]["containers"][0]["command"][2] = f"{fill}; exec httpd -f -p 8080 -h /tmp"
        apply(cluster, pod)
    cluster.kubectl("wait", "--for=condition=Ready", "pod", *rates, "--timeout=180s")

    def seconds(source: str, target: str) -> float:
        address = cluster.get("pod", source)["status"]["podIP"]
        request = f"printf 'GET /zeros HTTP/1.0\\r\\n\\r\\n' | nc -w 30 {address} 8080 | wc -c"
        begin = time.monotonic()
        assert int(cluster.kubectl("exec", target, "--", "sh", "-c", request)) > size
        return time.monotonic() - begin

    eventually("it is served", lambda: seconds("free", "free"))
    assert seconds("sends", "free") > 1.8
    assert seconds("free", "receives") > 1.8
