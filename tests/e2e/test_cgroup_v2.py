"""Control groups of version 2, made by either driver: what pods and containers are limited to, and what follows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.group_names import CGROUPFS, SYSTEMD, GroupNames
from pylet.api.object import dig
from tests.e2e.cluster import Cluster, eventually

CGROUPS = Path("/sys/fs/cgroup")
IS_V2 = (CGROUPS / "cgroup.controllers").exists()
HAS_SYSTEMD = Path("/run/systemd/system").is_dir() and Path("/run/dbus/system_bus_socket").exists()

pytestmark = pytest.mark.skipif(not IS_V2, reason="needs cgroup v2: limits of pods, OOM of whole containers, swap")
POD = """
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: pylet.local/busybox:1
      command: [sh, -c, "{script}"]
      resources: {{requests: {{cpu: 100m, memory: 32Mi}}, limits: {{cpu: 200m, memory: 64Mi}}}}
"""
ALL_OF_IT = "dd if=/dev/zero of=/dev/null bs=128M count=1 & sleep 100000"
RESIZE = """{"spec": {"containers": [{"name": "main", "resources":
    {"requests": {"cpu": "200m", "memory": "48Mi"}, "limits": {"cpu": "400m", "memory": "96Mi"}}}]}}"""


@pytest.fixture(
    scope="module",
    params=[
        CGROUPFS,
        pytest.param(SYSTEMD, marks=pytest.mark.skipif(not HAS_SYSTEMD, reason="needs systemd and D-Bus")),
    ],
)
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kubelet = {
        "cgroupDriver": request.param,
        "podPidsLimit": 200,
        "memorySwap": {"swapBehavior": "LimitedSwap"},
    }
    with Cluster(tmp_path_factory.mktemp("cluster"), kubelet=kubelet) as running:
        yield running


def names(cluster: Cluster) -> GroupNames:
    return GroupNames(cluster.server.cgroup, cluster.server.kubelet["cgroupDriver"])


def run(cluster: Cluster, name: str, script: str, *phases: str) -> Any:
    cluster.kubectl("apply", "-f", "-", stdin=POD.format(name=name, script=script))

    def reached() -> Any:
        found = cluster.get("pod", name)
        return found if found["status"].get("phase") in phases else None

    return eventually(f"{name} is {phases}", reached)


def read(group: str, *files: str) -> list[str]:
    return [(CGROUPS / group.lstrip("/") / file).read_text().strip() for file in files]


def test_pod_and_container_have_their_limits_and_follow_a_resize(cluster: Cluster) -> None:
    pod = run(cluster, "limited", "exec sleep 100000", "Running")
    of_pod = names(cluster).of_pod(pod["metadata"]["uid"], "burstable")
    of_container = names(cluster).of_container(
        of_pod, pod["status"]["containerStatuses"][0]["containerID"].rpartition("/")[2]
    )
    limits = ("cpu.weight", "cpu.max", "memory.max")
    assert read(of_pod, *limits, "pids.max") == ["4", "20000 100000", str(64 << 20), "200"]
    assert read(of_container, "cpu.max", "memory.max", "memory.oom.group") == ["20000 100000", str(64 << 20), "1"]
    swap = dig(cluster.get("node", "node1"), "status", "nodeInfo", "swap", "capacity", default=0)
    assert (int(*read(of_container, "memory.swap.max")) > 0) is (swap > 0)

    cluster.kubectl("patch", "pod", "limited", "--subresource", "resize", "-p", RESIZE)
    wanted = ["8", "40000 100000", str(96 << 20)]
    eventually("the pod is resized", lambda: read(of_pod, *limits) == wanted)
    assert read(of_container, "cpu.max", "memory.max") == wanted[1:]

    told = cluster.kubectl("get", "--raw", "/api/v1/nodes/node1/proxy/metrics/resource")
    assert "node_swap_usage_bytes" in told
    cluster.kubectl("delete", "pod", "limited")
    eventually("nothing of the pod is left", lambda: not (CGROUPS / of_pod.lstrip("/")).exists())


def test_memory_that_runs_out_ends_all_of_a_container(cluster: Cluster) -> None:
    pod = run(cluster, "greedy", ALL_OF_IT, "Failed")
    ended = pod["status"]["containerStatuses"][0]["state"]["terminated"]
    assert ended["exitCode"] == 137  # containerd 1.6 sometimes does not hear why, when systemd ends the group first
    cluster.kubectl("delete", "pod", "greedy")
