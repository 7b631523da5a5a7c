"""What runs is taken over, never restarted, whatever of the node dies or hangs; and what has ended leaves nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.cluster import Cluster, Node, eventually

ROUNDS, MANY = 10, 50
CGROUPS = Path("/sys/fs/cgroup")
SLEEPERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {{name: {name}}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{app: {name}}}}}
  template:
    metadata: {{labels: {{app: {name}}}}}
    spec:
      nodeName: node2
      terminationGracePeriodSeconds: 0
      priorityClassName: system-node-critical
      containers: [{{name: sleep, image: "pylet.local/busybox:1", command: [sleep, "100000"]}}]
"""
ECHO = """
apiVersion: v1
kind: Service
metadata: {name: echo}
spec: {selector: {app: echo}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: v1
kind: Pod
metadata: {name: echo, labels: {app: echo}}
spec:
  nodeName: node2
  containers: [{name: echo, image: "pylet.local/busybox:1", command: [nc, -ll, -p, "8080", -e, cat]}]
"""
FAILING = """
apiVersion: v1
kind: Pod
metadata: {name: failing}
spec:
  nodeName: node2
  containers: [{name: fails, image: "pylet.local/busybox:1", command: ["false"]}]
"""
NODE2 = '--overrides={"spec":{"nodeName":"node2"}}'
FAKETIME = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


def conditions(cluster: Cluster) -> dict[str, tuple[str, str]]:
    """Of the node and its pods: whether and since when they are Ready."""
    objects = [cluster.get("node", "node2"), *cluster.pods("app=keep")]
    return {
        obj["metadata"]["name"]: (each["status"], each["lastTransitionTime"])
        for obj in objects
        for each in obj["status"]["conditions"]
        if each["type"] == "Ready"
    }


def containers(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Pod name → its container's id and restarts."""
    statuses = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0] for pod in cluster.pods("app=keep")}
    return {name: (status["containerID"], status["restartCount"]) for name, status in statuses.items()}


def heartbeat(cluster: Cluster) -> str:
    return str(cluster.get("lease", "node2", "-n", "kube-node-lease")["spec"]["renewTime"])


def left(node: Node) -> dict[str, int]:
    """What pods leave if anything is forgotten, counted."""
    ctr = ("ctr", "--address", str(node.containerd.socket), "-n", "k8s.io")
    mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
    links = node.member.run("cat", "/proc/net/dev").splitlines()  # a dump of `ip` may be interrupted by what pods end
    trees = (CGROUPS, *CGROUPS.iterdir())  # version 2 has one alone
    groups = [top for tree in trees for top, _, _ in os.walk(tree / node.cgroup.lstrip("/"))]
    addresses = (node.directory / "data" / "agent" / "ipam").rglob("10.*")
    return {
        "containers": len(node.member.run(*ctr, "containers", "ls", "-q").split()),
        "mounts": sum(mount.startswith(str(node.directory)) for mount in mounts),
        "links": len(links),
        "cgroups": len(groups),
        "addresses": len(list(addresses)),
        "logs": len(list((node.directory / "pod-logs").iterdir())),
        "links to logs": len(list((node.directory / "containers").glob("*.log"))),
    }


def kill_pylet(node: Node) -> None:
    node.kill()
    node.restart()


def kill_containerd(node: Node) -> None:
    node.containerd.kill()
    node.containerd.start()


def kill_both(node: Node) -> None:
    node.kill()
    kill_containerd(node)
    node.restart()


def kill_pylet_while_containerd_hangs(node: Node) -> None:
    assert node.containerd.process is not None
    with stopped(node.containerd.process.pid):
        node.kill()
        seen = node.log.stat().st_size
        node.restart()
        eventually("pylet is up again and says so", lambda: node.log.stat().st_size > seen)


@contextmanager
def stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two nodes, Ready; the second one's data is on a small disk of its own."""
    directory: Path = tmp_path_factory.mktemp("cluster")
    small = directory / "node2" / "data"
    small.mkdir(parents=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "small", str(small)], check=True)
    kubelet = {"evictionHard": {"nodefs.available": "6Mi"}, "evictionPressureTransitionPeriod": "1s"}
    with Cluster(directory, nodes=2, kubelet=kubelet) as running:
        yield running


@pytest.fixture(scope="module")
def kept(cluster: Cluster) -> Cluster:
    cluster.kubectl("apply", "-f", "-", stdin=SLEEPERS.format(name="keep", replicas=2))
    cluster.kubectl("rollout", "status", "deploy/keep", "--timeout=180s")
    return cluster


@pytest.mark.parametrize("fault", [kill_containerd, kill_both, kill_pylet_while_containerd_hangs])
def test_what_runs_is_taken_over(kept: Cluster, fault: Callable[[Node], None]) -> None:
    before, ready, beat = containers(kept), conditions(kept), heartbeat(kept)
    fault(kept.nodes[1])
    eventually("the node is heard again", lambda: heartbeat(kept) > beat)
    eventually("exec works", lambda: kept.kubectl("exec", "deploy/keep", "--", "echo", "here") == "here\n")
    assert containers(kept) == before
    assert conditions(kept) == ready


def test_pods_that_have_ended_leave_nothing(kept: Cluster) -> None:
    node = kept.nodes[1]
    before = left(node)
    for _ in range(ROUNDS):
        kept.kubectl("apply", "-f", "-", stdin=SLEEPERS.format(name="many", replicas=MANY))
        kept.kubectl("rollout", "status", "deploy/many", "--timeout=180s")
        assert left(node)["addresses"] >= before["addresses"] + MANY
        kept.kubectl("delete", "deploy/many", "--cascade=foreground")
        eventually("they are gone", lambda: not kept.pods("app=many"))
    eventually(
        f"nothing is left but {before}", lambda: all(count <= before[what] for what, count in left(node).items())
    )


def test_a_connection_through_a_service_outlives_pylet(kept: Cluster) -> None:
    kept.kubectl("apply", "-f", "-", stdin=ECHO)
    address = kept.get("service", "echo")["spec"]["clusterIP"]
    node, ready = kept.nodes[1], conditions(kept)
    with node.member.entered():
        stream = eventually("it answers", lambda: socket.create_connection((address, 80), timeout=30))
    with stream, stream.makefile("rwb") as lines:

        def echoes(word: bytes) -> bool:
            lines.write(word)
            lines.flush()
            return lines.readline() == word

        assert echoes(b"before\n")
        beat = heartbeat(kept)
        kill_pylet(node)
        assert echoes(b"meanwhile\n")
        eventually("the node is heard again", lambda: heartbeat(kept) > beat)
        assert echoes(b"afterwards\n")
    assert conditions(kept) == ready
    kept.kubectl("delete", "pod/echo", "service/echo", "--now")


@pytest.mark.skipif(not FAKETIME, reason="needs libfaketime")
def test_the_nodes_clock_may_jump(kept: Cluster, tmp_path: Path) -> None:
    node, before, ready = kept.nodes[1], containers(kept), conditions(kept)
    offset = tmp_path / "offset"
    offset.write_text("+0")
    node.kill()
    node.environ = {
        "LD_PRELOAD": str(FAKETIME[0]),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "FAKETIME_DONT_RESET": "1",
    }
    node.restart()
    kept.kubectl("apply", "-f", "-", stdin=FAILING)
    eventually("it fails and waits", lambda: restarts(kept) == 1)
    for jump in ("+3600", "-3600"):
        offset.write_text(jump)
        seen = restarts(kept) + 1  # one may be on its way
        kept.kubectl("delete", "pod", "new", "--ignore-not-found", "--now")
        kept.kubectl("run", "new", "--image=pylet.local/busybox:1", NODE2, "--", "sleep", "100000")
        kept.kubectl("wait", "--for=condition=Ready", "pod/new", "--timeout=180s")
        eventually("what failed is tried again", lambda seen=seen: restarts(kept) > seen)
    node.environ = {}
    kill_pylet(node)
    kept.kubectl("delete", "pod", "new", "failing", "--now")
    assert containers(kept) == before
    assert conditions(kept) == ready


def restarts(cluster: Cluster) -> int:
    statuses = cluster.get("pod", "failing")["status"].get("containerStatuses", [])
    return sum(status["restartCount"] for status in statuses)


def test_a_full_disk_is_told_and_outlived(kept: Cluster) -> None:
    node, before, ready, beat = kept.nodes[1], containers(kept), conditions(kept), heartbeat(kept)
    filler = node.directory / "data" / "filler"
    with pytest.raises(OSError, match="No space left"):
        filler.write_bytes(bytes(64 << 20))
    eventually("the node says so", lambda: has_disk_pressure(kept))
    kept.kubectl("create", "configmap", "written-meanwhile")
    kill_pylet(node)  # it starts on a full disk, too
    eventually("the node is heard again", lambda: heartbeat(kept) > beat)
    eventually("it still says so", lambda: has_disk_pressure(kept))
    filler.unlink()
    eventually("there is room again", lambda: not has_disk_pressure(kept))
    kept.kubectl("run", "new", "--image=pylet.local/busybox:1", NODE2, "--", "sleep", "100000")
    kept.kubectl("wait", "--for=condition=Ready", "pod/new", "--timeout=180s")
    kept.kubectl("delete", "pod/new", "--now")
    assert containers(kept) == before
    assert conditions(kept) == ready


def has_disk_pressure(cluster: Cluster) -> bool:
    conditions = cluster.get("node", "node2")["status"]["conditions"]
    return any(each["type"] == "DiskPressure" and each["status"] == "True" for each in conditions)
