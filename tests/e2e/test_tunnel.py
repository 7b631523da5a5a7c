"""A node that lets nobody in: the server reaches its kubelet through the connection the agent keeps.

It joins by an address that is a forwarder to the server, learns the server's own, and needs the first no more.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, Node, eventually

CLOSED = """
table inet closed {
  chain input { type filter hook input priority -200; iifname "eth0" tcp flags & (syn | ack) == syn drop; }
  chain forward { type filter hook forward priority -200; iifname "eth0" tcp flags & (syn | ack) == syn drop; }
}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: far}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers:
    - name: httpd
      image: pylet.local/busybox:1
      command: [sh, -c, "echo logged; mkdir /www; echo page > /www/index.html; exec httpd -f -p 8080 -h /www"]
---
apiVersion: v1
kind: Pod
metadata: {name: far-host}
spec:
  nodeName: node2
  hostNetwork: true
  terminationGracePeriodSeconds: 0
  containers:
    - name: httpd
      image: pylet.local/busybox:1
      ports: [{containerPort: 8080}]
      command: [sh, -c, "mkdir /www; echo host > /www/index.html; exec httpd -f -p 8080 -h /www"]
"""


class Behind(Cluster):
    """Node 2 lets nobody in, and knows the server by the address of a forwarder."""

    forwarder: subprocess.Popen[str]

    def join(self, node: Node, token: str) -> None:
        node.member.run("nft", "-f", "-", stdin=CLOSED)
        self.forwarder = self.client.start(
            "socat", "TCP-LISTEN:6443,fork,reuseaddr", f"TCP:{self.server.member.ip}:6443"
        )
        node.start("agent", "--server", f"https://{self.client.ip}:6443", "--token", token, *self._agent_options)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    ip = "10.77.0.200"
    with Behind(tmp_path_factory.mktemp("cluster"), nodes=2, options=("--tls-san", ip), agent_options=()) as running:
        assert running.client.ip == ip
        running.kubectl("apply", "-f", "-", stdin=POD)
        eventually("the pod runs", lambda: running.get("pod", "far")["status"]["phase"] == "Running")
        yield running


def tunnels(node: Node) -> list[str]:
    """The servers the node has said that it has tunnels to."""
    return [line.split(": ")[1].split()[0] for line in node.log.read_text().splitlines() if "reaches this node" in line]


def logged(cluster: Cluster) -> None:
    eventually("the pod's log comes", lambda: cluster.kubectl("logs", "far") == "logged\n")


def test_all_that_asks_a_kubelet_or_a_pod_comes_through_the_tunnel(cluster: Cluster) -> None:
    node = cluster.nodes[1].member
    refused = cluster.server.member.run(
        "curl", "-sk", "--max-time", "1", f"https://{node.ip}:10250/healthz", check=False
    )
    assert refused == ""
    logged(cluster)
    assert cluster.kubectl("exec", "-i", "far", "--", "cat", stdin="said") == "said"
    assert cluster.kubectl("get", "--raw", "/api/v1/nodes/node2/proxy/healthz") == "ok"
    eventually("its use is known", lambda: "node2" in cluster.kubectl("top", "node", "node2"))
    page = ("get", "--raw", "/api/v1/namespaces/default/pods/far:8080/proxy/")
    eventually("the pod's page comes", lambda: cluster.kubectl(*page) == "page\n")
    page_of_host = ("get", "--raw", "/api/v1/namespaces/default/pods/far-host:8080/proxy/")
    eventually("a page comes out of the node's own network", lambda: cluster.kubectl(*page_of_host) == "host\n")
    forward = cluster.server.member.start(
        "kubectl", "--kubeconfig", str(cluster.kubeconfig), "port-forward", "pod/far", "18080:8080"
    )
    curl = ("curl", "-s", "--max-time", "20", "http://127.0.0.1:18080/")
    eventually("the port answers", lambda: cluster.server.member.run(*curl) == "page\n")
    forward.kill()


def test_a_server_whose_address_is_gone_is_found_by_another(cluster: Cluster) -> None:
    node: Any = cluster.nodes[1]
    eventually("there is a tunnel", lambda: tunnels(node) == [f"https://{cluster.client.ip}:6443"])
    remembered = node.directory / "data" / "agent" / "offline"
    eventually("all is written", lambda: max(f.stat().st_mtime for f in remembered.iterdir()) < time.time() - 3)
    subprocess.run(["pkill", "-P", str(cluster.forwarder.pid)], check=False)
    cluster.forwarder.kill()
    eventually("there is another tunnel", lambda: tunnels(node)[1:] == [cluster.url])
    logged(cluster)

    node.kill()
    node.restart()  # with the address that is gone
    eventually("there is a tunnel again", lambda: tunnels(node)[2:] == [cluster.url])
    logged(cluster)
