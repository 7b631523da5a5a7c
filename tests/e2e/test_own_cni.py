"""A network that is somebody else's: a DaemonSet brings the CNI configuration and the routes, as flannel does."""

from __future__ import annotations

import json
from collections.abc import Iterator
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from tests.e2e.cluster import Cluster, eventually

CNI = """
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: cni, namespace: kube-system}
spec:
  selector: {matchLabels: {app: cni}}
  template:
    metadata: {labels: {app: cni}}
    spec:
      hostNetwork: true
      priorityClassName: system-node-critical
      tolerations: [{operator: Exists, effect: NoSchedule}]
      initContainers:
      - name: install
        image: pylet.local/busybox:1
        command: [sh, -c, "cp /config/$NODE.conflist /nodes/$NODE/cni/10-own.conflist"]
        env: &env
        - name: NODE
          valueFrom: {fieldRef: {fieldPath: spec.nodeName}}
        volumeMounts: &mounts
        - {name: config, mountPath: /config}
        - {name: nodes, mountPath: /nodes}
      containers:
      - name: routes
        image: pylet.local/busybox:1
        command: [sh, -c, "ip route replace $(cat /config/$NODE.route) && exec sleep 3600"]
        env: *env
        volumeMounts: *mounts
        securityContext: {capabilities: {add: [NET_ADMIN]}}
      volumes:
      - {name: config, configMap: {name: cni}}
      - {name: nodes, hostPath: {path: DIRECTORY}}
"""
POD = """
apiVersion: v1
kind: Pod
metadata: {name: on-NODE}
spec:
  nodeName: NODE
  tolerations: [{operator: Exists}]
  containers:
  - {name: c, image: "pylet.local/busybox:1", command: [sleep, "3600"]}
"""
NOT_READY = (
    "container runtime network not ready: NetworkReady=false reason:NetworkPluginNotReady "
    "message:Network plugin returns error: cni plugin not initialized"
)


class Bare(Cluster):
    """Its nodes are there, and not Ready: nobody has made a network yet."""

    def is_ready(self, node: str) -> bool:
        return bool(self.get("node", node)["spec"].get("podCIDR"))


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Bare(tmp_path_factory.mktemp("cni"), nodes=2, options=("--network-backend", "none")) as running:
        yield running


def test_pods_wait_for_a_network_and_live_in_it(cluster: Cluster) -> None:
    names = [node.name for node in cluster.nodes]
    cidrs = {name: cluster.get("node", name)["spec"]["podCIDR"] for name in names}
    for name in names:
        eventually("the node says what is missing", lambda name=name: _ready(cluster, name) == ("False", NOT_READY))
        cluster.kubectl("apply", "-f", "-", stdin=POD.replace("NODE", name))
    eventually("pods say what they wait for", lambda: _events(cluster) == {f"network is not ready: {NOT_READY}"})

    config = {}
    for node, other in zip(cluster.nodes, reversed(cluster.nodes), strict=True):
        config[f"{node.name}.conflist"] = _conflist(cidrs[node.name], str(node.directory / "ipam"))
        config[f"{node.name}.route"] = f"{cidrs[other.name]} via {other.member.ip}"
    data = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "cni", "namespace": "kube-system"}}
    cluster.kubectl("apply", "-f", "-", stdin=json.dumps({**data, "data": config}))
    cluster.kubectl("apply", "-f", "-", stdin=CNI.replace("DIRECTORY", str(cluster.server.directory.parent)))

    for name in names:
        eventually("the node is Ready", lambda name=name: _ready(cluster, name)[0] == "True")
        cluster.kubectl("wait", "--for=condition=Ready", f"pod/on-{name}", "--timeout=180s")
    here, there = (cluster.get("pod", f"on-{name}")["status"]["podIP"] for name in names)
    for address, name in ((here, names[0]), (there, names[1])):
        assert ip_address(address) in ip_network(cidrs[name])
    for command in (f"ping -c1 -W2 {there}", "nc -w2 10.43.0.1 443 </dev/null"):
        ran = ("exec", f"on-{names[0]}", "--", "sh", "-c", f"{command} >/dev/null && echo reached")
        assert eventually(command, lambda ran=ran: "reached" in cluster.kubectl(*ran))
    assert not any("pylet" in node.member.run("ip", "-br", "link") for node in cluster.nodes)


def test_a_cni_says_whether_its_routes_are_there(cluster: Cluster) -> None:
    node = cluster.nodes[1].name
    for status, effects in (("True", ["NoSchedule"]), ("False", [])):
        condition = {"type": "NetworkUnavailable", "status": status, "reason": "CNI", "message": ""}
        patch = json.dumps({"status": {"conditions": [condition]}})
        cluster.kubectl("patch", "node", node, "--subresource=status", "-p", patch)
        eventually("the taint follows", lambda effects=effects: _taints(cluster, node) == effects)


def _taints(cluster: Cluster, node: str) -> list[str]:
    taints = cluster.get("node", node)["spec"].get("taints", [])
    return [taint["effect"] for taint in taints if taint["key"] == "node.kubernetes.io/network-unavailable"]


def _ready(cluster: Cluster, node: str) -> tuple[str, str]:
    conditions = cluster.get("node", node)["status"]["conditions"]
    return next((found["status"], found["message"]) for found in conditions if found["type"] == "Ready")


def _events(cluster: Cluster) -> set[str]:
    return {event["message"] for event in cluster.get("events", "--field-selector=reason=NetworkNotReady")["items"]}


def _conflist(cidr: str, data_dir: str) -> str:
    ipam: Any = {"type": "host-local", "subnet": cidr, "dataDir": data_dir}
    bridge = {"type": "bridge", "bridge": "own0", "isDefaultGateway": True, "hairpinMode": True, "ipam": ipam}
    return json.dumps({"cniVersion": "0.4.0", "name": "own", "plugins": [bridge]})
