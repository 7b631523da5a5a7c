"""A cluster with networks, DNS and a domain of its own: a second node is told none of it, and pods on it work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.cluster import REPO, Cluster, eventually

POD = """
apiVersion: v1
kind: Pod
metadata: {name: far}
spec:
  nodeName: node2
  containers:
  - {name: c, image: "pylet.local/busybox:1", command: [sleep, "3600"]}
"""
OPTIONS = (
    "--cluster-cidr", "10.142.0.0/16",
    "--service-cidr", "10.143.0.0/16",
    "--cluster-dns", "10.143.0.53",
    "--cluster-domain", "example.test",
    "--service-node-port-range", "20000-20100",
    "--network-backend", "vxlan",
)  # fmt: skip


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("settings"), nodes=2, options=OPTIONS, agent_options=()) as running:
        yield running


def test_a_pod_on_a_node_that_was_told_nothing_lives_in_the_cluster(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=POD)
    cluster.kubectl("wait", "--for=condition=Ready", "pod/far", "--timeout=180s")
    assert cluster.get("pod", "far")["status"]["podIP"].startswith("10.142.")
    resolv = cluster.kubectl("exec", "far", "--", "cat", "/etc/resolv.conf")
    assert "nameserver 10.143.0.53" in resolv
    assert "svc.example.test" in resolv

    def resolves() -> bool:
        return "10.143.0.1" in cluster.kubectl("exec", "far", "--", "nslookup", "kubernetes.default.svc.example.test")

    assert eventually("the cluster's DNS answers on that node", resolves)
    assert "pylet.vx" in cluster.nodes[1].member.run("ip", "-br", "link")


def test_the_node_remembers_and_starts_without_asking_again(cluster: Cluster) -> None:
    remembered = json.loads((cluster.nodes[1].directory / "data" / "agent" / "cluster.json").read_text())
    assert (remembered["cluster-dns"], remembered["network-backend"]) == ("10.143.0.53", "vxlan")


def test_a_node_reads_the_settings_and_no_other_configmap_there(cluster: Cluster) -> None:
    as_node = ("--as", "system:node:node2", "--as-group", "system:nodes", "-n", "kube-public")
    assert cluster.kubectl("auth", "can-i", "get", "configmap/pylet-cluster", *as_node).strip() == "yes"
    with pytest.raises(AssertionError, match="no"):
        cluster.kubectl("auth", "can-i", "get", "configmap/other", *as_node)


def test_a_flag_that_contradicts_the_cluster_is_one_line(cluster: Cluster, tmp_path: Path) -> None:
    node = cluster.nodes[1]
    command = [
        sys.executable, "-m", "pylet", "agent", "--server", cluster.url, "--token", cluster.token,
        "--data-dir", str(tmp_path), "--node-name", "stranger", "--node-ip", node.member.ip,
        "--cluster-domain", "cluster.local",
    ]  # fmt: skip
    refused = subprocess.run(node.member.argv(*command), cwd=REPO, capture_output=True, text=True, timeout=180)
    assert refused.returncode == 2
    last = refused.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "pylet agent: --cluster-domain cluster.local contradicts the cluster, which has example.test"
    )
