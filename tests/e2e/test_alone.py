"""A node whose server is away: after a power cut it starts from what it remembers, and tells the server later."""

from __future__ import annotations

import re
import time
from typing import Any

from tests.e2e.cluster import Cluster, Node, eventually

WORLD = """
apiVersion: v1
kind: Secret
metadata: {name: word}
stringData: {word: xyzzy}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: page}
data: {index.html: "from the config map"}
---
apiVersion: v1
kind: Service
metadata: {name: web}
spec:
  type: NodePort
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080, nodePort: 30123}]
---
apiVersion: v1
kind: Pod
metadata: {name: web, labels: {app: web}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers:
    - name: httpd
      image: pylet.local/busybox:1
      command: [sh, -c, "test $WORD = xyzzy && exec httpd -f -p 8080 -h /www"]
      env: [{name: WORD, valueFrom: {secretKeyRef: {name: word, key: word}}}]
      volumeMounts: [{name: page, mountPath: /www}]
  volumes: [{name: page, configMap: {name: page}}]
---
apiVersion: v1
kind: Pod
metadata: {name: doomed, labels: {app: doomed}}
spec:
  nodeName: node2
  terminationGracePeriodSeconds: 0
  containers: [{name: sleep, image: pylet.local/busybox:1, command: [sleep, "100000"]}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: all}
spec: {podSelector: {}, policyTypes: [Egress], egress: [{}]}
"""


def page(cluster: Cluster, address: str) -> str:
    """What is served at `address`, asked for from the node that is alone."""
    return cluster.nodes[1].member.run("curl", "-s", "--max-time", "10", f"http://{address}/")


def statuses(cluster: Cluster) -> dict[str, tuple[str, int]]:
    return {
        pod["metadata"]["name"]: (container["containerID"], container["restartCount"])
        for pod in cluster.get("pods")["items"]
        for container in pod["status"].get("containerStatuses", ())
        if container["ready"]
    }


def is_at_rest(cluster: Cluster) -> bool:
    """Whether nothing of what the node remembers was written for longer than it waits between writes here."""
    directory = cluster.nodes[1].directory / "data" / "agent" / "offline"
    return max(file.stat().st_mtime for file in directory.iterdir()) < time.time() - 6


def is_isolated(node: Node) -> bool:
    """Whether policies hold for the addresses that its pods have now."""
    given = {file.name for file in (node.directory / "data" / "agent" / "ipam" / "pylet").iterdir()}
    addresses = {name for name in given if name.count(".") == 3}
    rules = node.member.run("nft", "list", "map", "inet", "pylet-policy", "egress4", check=False)
    return len(addresses) == 2 and set(re.findall(r"([0-9.]+) : goto", rules)) == addresses


def test_a_node_starts_without_its_server_and_tells_it_later(cluster: Cluster) -> None:
    server, node = cluster.nodes
    cluster.kubectl("apply", "-f", "-", stdin=WORLD)
    eventually("the pods are ready", lambda: statuses(cluster).keys() == {"web", "doomed"})
    service: Any = cluster.get("service", "web")["spec"]
    eventually("the service answers", lambda: "config map" in page(cluster, service["clusterIP"]))
    eventually("policies hold for the pods", lambda: is_isolated(node))
    eventually("all is written", lambda: is_at_rest(cluster))

    server.kill()
    node.power_cut()
    node.power_on()
    eventually("the pod runs again, its service answers", lambda: "config map" in page(cluster, service["clusterIP"]))
    eventually("its node port, too", lambda: "config map" in page(cluster, f"{node.member.ip}:30123"))
    lookup = ("busybox", "nslookup", "-type=a", "web.default.svc.cluster.local", "10.43.0.10")
    eventually("its name is known", lambda: service["clusterIP"] in node.member.run(*lookup))
    eventually("the other pod runs again, too", lambda: len(node.containers()) == 2)
    before = node.containers()
    assert is_isolated(node)

    node.kill()  # pylet alone: what runs is taken over, still without a server
    node.restart()
    eventually("the service still answers", lambda: "config map" in page(cluster, service["clusterIP"]))
    server.restart()
    eventually("the API answers", lambda: cluster.kubectl("get", "--raw", "/readyz") == "ok")
    cluster.kubectl("delete", "pod", "doomed", "--grace-period=0", "--force")
    eventually("the node is Ready", lambda: cluster.is_ready(node.name))
    # the node looks for its server every ten seconds, and the pod has its grace of thirty
    eventually("what was deleted meanwhile is ended", lambda: len(node.containers()) == 1, seconds=120)
    assert node.containers() < before
    eventually(
        "the server knows what runs",
        lambda: {id_.removeprefix("containerd://") for id_, _ in statuses(cluster).values()} == node.containers(),
    )
