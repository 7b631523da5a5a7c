"""A node whose pods use up the memory that is theirs: one leaves before the kernel chooses, and the node says why."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from pylet.agent.kubelet.machine import meminfo
from tests.e2e.cluster import Cluster, eventually

MEBI = 1 << 20
FOR_PODS = 400 * MEBI
PODS = """
apiVersion: v1
kind: Pod
metadata: {name: modest}
spec:
  containers: [{name: main, image: pylet.local/busybox:1, command: [sleep, "100000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: greedy}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: pylet.local/busybox:1
      command: [sh, -c, "dd if=/dev/zero bs=330M count=1 | sleep 100000"]
"""


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    kubelet = {
        "systemReserved": {"memory": str(meminfo()["MemTotal"] - FOR_PODS)},
        "evictionHard": {"memory.available": "100Mi"},
    }
    with Cluster(tmp_path_factory.mktemp("cluster"), kubelet=kubelet) as running:
        yield running


def test_who_uses_more_than_was_asked_for_leaves_before_memory_runs_out(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=PODS)
    eventually("greedy is evicted", lambda: cluster.get("pod", "greedy")["status"].get("reason") == "Evicted")
    status = cluster.get("pod", "greedy")["status"]
    words = "The node was low on resource: memory. Threshold quantity: 100Mi, available: "
    assert status["phase"] == "Failed"
    assert status["message"].startswith(words)
    assert "Container main was using" in status["message"]
    target = next(condition for condition in status["conditions"] if condition["type"] == "DisruptionTarget")
    assert target["reason"] == "TerminationByKubelet"

    def taints() -> set[str]:
        return {taint["key"] for taint in cluster.get("node", "node1")["spec"].get("taints", [])}

    eventually("the node says so", lambda: "node.kubernetes.io/memory-pressure" in taints())
    modest = cluster.get("pod", "modest")["status"]["containerStatuses"][0]
    assert (modest["ready"], modest["restartCount"]) == (True, 0)

    def told() -> set[str]:
        events = cluster.get("events", "--field-selector", "involvedObject.kind=Node,source=kubelet")["items"]
        return {event["reason"] for event in events}

    wanted = {"Starting", "NodeReady", "NodeHasSufficientMemory", "EvictionThresholdMet", "NodeHasInsufficientMemory"}
    eventually("events tell of it", lambda: wanted <= told())
