"""Pods, Services, DNS and balanced addresses of two IP families, and a node whose address changes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, all_answer, eventually

OPTIONS = ("--cluster-cidr", "10.42.0.0/16,fd42::/48", "--service-cidr", "10.43.0.0/16,fd43::/112")


def _pod(name: str, node: str) -> Any:
    serve = "hostname > /tmp/index.html; exec httpd -f -p [::]:8080 -h /tmp"
    container = {"name": "c", "image": "pylet.local/busybox:1", "command": ["sh", "-c", serve]}
    spec = {"nodeName": node, "terminationGracePeriodSeconds": 0, "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "web"}}, "spec": spec}


def _service(name: str, **spec: Any) -> Any:
    ports = [{"port": spec.pop("port", 80), "targetPort": 8080}]
    both = {"ipFamilyPolicy": "RequireDualStack", "selector": {"app": "web"}, "ports": ports}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {**both, **spec}}


def _apply(cluster: Cluster, *objects: Any) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    directory = tmp_path_factory.mktemp("dual")
    with Cluster(
        directory, nodes=2, options=OPTIONS, agent_options=(), node_ips=lambda member: f"{member.ip},{member.ip6}"
    ) as running:
        _apply(
            running,
            _pod("web-1", "node1"),
            _pod("web-2", "node2"),
            _service("both"),
            _service("headless", clusterIP="None"),
            _service("balanced", type="LoadBalancer", port=8090),
            _service("local", type="LoadBalancer", port=8091, externalTrafficPolicy="Local"),
        )
        running.kubectl("wait", "--for=condition=Ready", "pod", "-l", "app=web", "--timeout=180s")
        yield running


def _fetch(cluster: Cluster, url: str) -> str:
    return cluster.client.run("curl", "-gsS", "-m", "10", url).strip()


def _from_pod(cluster: Cluster, host: str, port: int) -> str:
    request = f"printf 'GET /index.html HTTP/1.0\\r\\n\\r\\n' | nc -w 10 {host} {port}"
    return cluster.kubectl("exec", "web-1", "--", "sh", "-c", request).strip().splitlines()[-1]


def test_pods_and_nodes_have_both(cluster: Cluster) -> None:
    for pod in cluster.pods("app=web"):
        assert [":" in item["ip"] for item in pod["status"]["podIPs"]] == [False, True]
    for node in cluster.get("nodes")["items"]:
        kinds = [item["address"] for item in node["status"]["addresses"] if item["type"] == "InternalIP"]
        assert [":" in address for address in kinds] == [False, True]


@pytest.mark.parametrize("family", [0, 1], ids=["IPv4", "IPv6"])
def test_a_service_answers_in_both(cluster: Cluster, family: int) -> None:
    address = cluster.get("service", "both")["spec"]["clusterIPs"][family]
    eventually(
        "both pods answer",
        lambda: {_from_pod(cluster, address, 80) for _ in range(8)} == {"web-1", "web-2"},
    )


def test_dns_knows_both(cluster: Cluster) -> None:
    pods = [item["ip"] for pod in cluster.pods("app=web") for item in pod["status"]["podIPs"]]
    for name, expected in (("both", cluster.get("service", "both")["spec"]["clusterIPs"]), ("headless", pods)):

        def knows(name: str = name, expected: list[str] = expected) -> bool:
            said = cluster.kubectl("exec", "web-2", "--", "nslookup", f"{name}.default.svc.cluster.local")
            return all(address in said for address in expected)

        eventually(f"DNS answers for {name}", knows)


def test_dns_does_as_its_configmap_says(cluster: Cluster) -> None:
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pylet-dns", "namespace": "kube-system"}}
    _apply(cluster, {**config, "data": {"hosts": "192.0.2.80 www.acme.example"}})
    for pod in ("web-1", "web-2"):  # on the server's node and on the other one
        eventually(
            "the host is known",
            lambda pod=pod: "192.0.2.80" in cluster.kubectl("exec", pod, "--", "nslookup", "www.acme.example"),
        )


def test_a_balanced_service_answers_at_every_node_from_outside(cluster: Cluster) -> None:
    def given() -> list[str]:
        return [item["ip"] for item in cluster.get("service", "balanced")["status"]["loadBalancer"].get("ingress", ())]

    members = [node.member for node in cluster.nodes]
    wanted = [*(member.ip for member in members), *(member.ip6 for member in members)]
    eventually("it has the nodes' addresses", lambda: given() == wanted)
    for address in wanted:
        url = f"http://[{address}]:8090" if ":" in address else f"http://{address}:8090"
        eventually(f"{url} answers", lambda url=url: {_fetch(cluster, url) for _ in range(8)} == {"web-1", "web-2"})


def test_with_the_local_policy_a_node_answers_from_its_own_pods(cluster: Cluster) -> None:
    for node, pod in zip(cluster.nodes, ("web-1", "web-2"), strict=True):
        url = f"http://{node.member.ip}:8091"
        eventually(f"{url} answers", lambda url=url: _fetch(cluster, url))
        assert {_fetch(cluster, url) for _ in range(4)} == {pod}


def test_a_pool_gives_addresses_and_one_node_answers_for_each(cluster: Cluster) -> None:
    pool = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "pylet-load-balancer"}}
    pool["metadata"]["namespace"] = "kube-system"
    asking = _service("pooled", type="LoadBalancer", port=8092, loadBalancerClass="pylet.io/pool")
    asking["metadata"]["annotations"] = {"pylet.io/load-balancer-ips": "10.77.0.242,fd77::245"}
    _apply(cluster, {**pool, "data": {"pool": "10.77.0.240-10.77.0.242 fd77::240/125"}}, asking)

    def given(name: str) -> list[str]:
        return [item["ip"] for item in cluster.get("service", name)["status"]["loadBalancer"].get("ingress", ())]

    def answering(address: str) -> str:
        """The node whose MAC the client has for it."""
        seen = cluster.client.run("ip", "neigh", "show", address)
        links = {node.name: node.member.run("ip", "-br", "link", "show", "eth0").split()[2] for node in cluster.nodes}
        return next((name for name, mac in links.items() if mac in seen), "")

    eventually("the address that was asked for", lambda: given("pooled") == ["10.77.0.242", "fd77::245"])
    eventually("a Service without a class lives from it, too", lambda: "10.77.0.24" in "".join(given("local")))
    for address in given("pooled"):
        url = f"http://[{address}]:8092" if ":" in address else f"http://{address}:8092"
        eventually(f"{url} answers", lambda url=url: {_fetch(cluster, url) for _ in range(8)} == {"web-1", "web-2"})
        first = eventually("one node answers", lambda address=address: answering(address))
        excluded = "node.kubernetes.io/exclude-from-external-load-balancers"
        cluster.kubectl("label", "node", first, f"{excluded}=")
        eventually("the other one takes over", lambda a=address, f=first: answering(a) not in ("", f))
        all_answer({"web-1", "web-2"}, lambda url=url: _fetch(cluster, url))
        cluster.kubectl("label", "node", first, f"{excluded}-")
    cluster.kubectl("delete", "configmap", "-n", "kube-system", "pylet-load-balancer")
    eventually("it is left without one", lambda: not given("pooled"))
    told = "the pool has no address"
    eventually("it is told why", lambda: told in cluster.kubectl("describe", "service", "pooled"))
    eventually("the others are the nodes' again", lambda: cluster.server.member.ip in given("balanced"))


def test_a_node_that_moves_is_reached_at_its_new_address(cluster: Cluster) -> None:
    node = cluster.nodes[1]
    node.stop_pylet()
    node.node_ip = ""
    node.restart()
    eventually("it runs without being told its address", lambda: node.log.read_text().count("node node2 (") == 2)
    node.member.run("ip", "address", "del", f"{node.member.ip}/24", "dev", "eth0")
    node.member.run("ip", "address", "add", "10.77.0.99/24", "dev", "eth0")
    node.member.run("ip", "route", "add", "default", "via", "10.77.0.1")

    def address() -> str:
        found: str = cluster.get("node", "node2")["status"]["addresses"][0]["address"]
        return found

    eventually("the API knows the new address", lambda: address() == "10.77.0.99")
    show = ("ip", "route", "show", "10.42.1.0/24")
    eventually("there is a way to it", lambda: "via 10.77.0.99" in cluster.server.member.run(*show))
    ip = next(pod["status"]["podIP"] for pod in cluster.pods("app=web") if pod["metadata"]["name"] == "web-2")
    eventually("its pods are reached", lambda: _from_pod(cluster, ip, 8080) == "web-2")
    eventually("its kubelet is", lambda: "web-2" in cluster.kubectl("exec", "web-2", "--", "hostname"))
