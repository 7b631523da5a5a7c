"""What breaks on devices: pylet is killed, a node dies. Containers go on, writes stay, pods move."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, eventually

SLEEPERS = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: sleepers}
spec:
  replicas: 4
  selector: {matchLabels: {app: sleepers}}
  template:
    metadata: {labels: {app: sleepers}}
    spec:
      terminationGracePeriodSeconds: 0
      tolerations:
        - {key: node.kubernetes.io/unreachable, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
        - {key: node.kubernetes.io/not-ready, operator: Exists, effect: NoExecute, tolerationSeconds: 1}
      containers:
        - name: sleep
          image: pylet.local/busybox:1
          command: [sleep, "100000"]
          readinessProbe: {exec: {command: ["true"]}, periodSeconds: 1, timeoutSeconds: 60}
"""


def containers(cluster: Cluster) -> dict[str, tuple[str, int]]:
    """Pod name → its container's id and restarts."""
    statuses = {pod["metadata"]["name"]: pod["status"]["containerStatuses"][0] for pod in cluster.pods("app=sleepers")}
    return {name: (status["containerID"], status["restartCount"]) for name, status in statuses.items()}


def transitions(cluster: Cluster) -> dict[str, str]:
    """Pod name → since when it has been Ready."""
    return {
        pod["metadata"]["name"]: condition["lastTransitionTime"]
        for pod in cluster.pods("app=sleepers")
        for condition in pod["status"]["conditions"]
        if condition["type"] == "Ready"
    }


class Writer:
    """Creates ConfigMaps as fast as it can, and keeps what was acknowledged."""

    def __init__(self, cluster: Cluster) -> None:
        self.acknowledged: list[str] = []
        self._cluster = cluster
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Writer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        number = 0
        while not self._stop.is_set():
            number += 1
            if attempt(lambda name=f"write-{number}": self._cluster.kubectl("create", "configmap", name)):
                self.acknowledged.append(f"write-{number}")


def attempt(call: Callable[[], Any]) -> bool:
    try:
        call()
    except Exception:
        return False
    return True


@pytest.fixture(scope="module")
def sleepers(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", stdin=SLEEPERS)
    cluster.kubectl("rollout", "status", "deploy/sleepers", "--timeout=180s")


@pytest.mark.usefixtures("sleepers")
def test_killing_pylet_under_load_restarts_nothing_and_loses_nothing(cluster: Cluster) -> None:
    before, ready_since = containers(cluster), transitions(cluster)
    with Writer(cluster) as writer:
        for _ in range(3):
            wanted = len(writer.acknowledged) + 3
            eventually("writes are acknowledged", lambda wanted=wanted: len(writer.acknowledged) >= wanted)
            for node in cluster.nodes:
                node.kill()
            for node in cluster.nodes:
                node.restart()
            eventually("the API answers", lambda: cluster.kubectl("get", "--raw", "/readyz") == "ok")
    names = {item["metadata"]["name"] for item in cluster.get("configmaps")["items"]}
    assert set(writer.acknowledged) <= names
    eventually("the nodes are Ready", lambda: all(cluster.is_ready(node.name) for node in cluster.nodes))
    assert containers(cluster) == before
    assert transitions(cluster) == ready_since


@pytest.mark.usefixtures("sleepers")
def test_pods_of_a_dead_node_move(cluster: Cluster) -> None:
    victim = cluster.nodes[1]
    assert any(pod["spec"]["nodeName"] == victim.name for pod in cluster.pods("app=sleepers"))
    victim.kill()

    def moved() -> bool:
        alive = [
            pod
            for pod in cluster.pods("app=sleepers")
            if "deletionTimestamp" not in pod["metadata"] and pod["spec"].get("nodeName") == cluster.server.name
        ]
        return len(alive) == 4 and all(pod["status"]["phase"] == "Running" for pod in alive)

    eventually("the node is found dead", lambda: not cluster.is_ready(victim.name), seconds=180)
    eventually("all pods run on the other node", moved)
    victim.restart()
    eventually("the node is back", lambda: cluster.is_ready(victim.name))
    eventually("what it still ran is gone", lambda: len(cluster.pods("app=sleepers")) == 4)
