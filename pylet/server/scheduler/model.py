"""Nodes and pods as the scheduler counts them: what is asked for once is worked out once. Pure.

Resources are integers: cpu in thousandths, everything else in whole units.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from pylet.api import quantity
from pylet.api.object import Key, Object, controller_of, dig, is_terminating, key_of, labels_of, uid_of

Resources = Mapping[str, int]

# Pods that ask for nothing still count for something when nodes are compared (upstream's DefaultMilliCPURequest, …).
_ASSUMED = {"cpu": 100, "memory": 200 << 20}


def amounts(resources: Mapping[str, Any] | None) -> dict[str, int]:
    return {
        name: quantity.milli_of(value) if name == "cpu" else quantity.value_of(value)
        for name, value in (resources or {}).items()
    }


def pod_requests(pod: Object) -> dict[str, int]:
    """What a pod takes of a node: containers and sidecars together, or its largest init step, plus overhead.

    Source: upstream `component-helpers/resource/helpers.go` (PodRequests).
    """
    spec = pod["spec"]
    running: Counter[str] = Counter()
    for container in spec["containers"]:
        running.update(amounts(dig(container, "resources", "requests")))
    sidecars: Counter[str] = Counter()
    largest: Counter[str] = Counter()
    for container in spec.get("initContainers") or ():
        own = Counter(amounts(dig(container, "resources", "requests")))
        if container.get("restartPolicy") == "Always":
            sidecars.update(own)
            largest |= sidecars
        else:
            largest |= sidecars + own
    total = (running + sidecars) | largest
    # Requests of the pod itself stand for those of its containers; overhead comes on top of either.
    total |= Counter(amounts(dig(spec, "resources", "requests")))
    return dict(total + Counter(amounts(spec.get("overhead"))))


class PodInfo:
    """A pod to place, or one that counts on a node."""

    __slots__ = ("key", "labels", "namespace", "owner_uid", "pod", "ports", "requests", "scored_requests", "uid")

    def __init__(self, pod: Object) -> None:
        self.pod = pod
        self.key: Key = key_of(pod)
        self.uid = uid_of(pod)
        self.namespace = self.key.namespace
        self.labels = labels_of(pod)
        owner = controller_of(pod)
        self.owner_uid = owner["uid"] if owner is not None else ""
        self.requests = pod_requests(pod)
        self.scored_requests = {name: self.requests.get(name) or assumed for name, assumed in _ASSUMED.items()}
        self.ports = frozenset(_host_ports(pod["spec"]["containers"]))

    @property
    def spec(self) -> Object:
        spec: Object = self.pod["spec"]
        return spec


HostPort = tuple[str, str, int]
"""(address, protocol, port); address 0.0.0.0 stands for all."""


def _host_ports(containers: Iterable[Object]) -> Iterable[HostPort]:
    for container in containers:
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or "0.0.0.0", port.get("protocol", "TCP"), int(port["hostPort"])


class NodeInfo:
    """A node with the pods that count on it, their requests summed up."""

    __slots__ = ("allocatable", "labels", "name", "node", "pods", "requested", "scored")

    def __init__(self, name: str) -> None:
        self.name = name
        self.node: Object = {}
        self.labels: Mapping[str, str] = {}
        self.allocatable: dict[str, int] = {}
        self.pods: dict[str, PodInfo] = {}
        self.requested: Counter[str] = Counter()
        self.scored: Counter[str] = Counter()

    def update(self, node: Object) -> None:
        self.node = node
        self.labels = labels_of(node)
        self.allocatable = amounts(dig(node, "status", "allocatable"))

    def add(self, pod: PodInfo) -> None:
        self.pods[pod.uid] = pod
        self.requested.update(pod.requests)
        self.scored.update(pod.scored_requests)

    def remove(self, uid: str) -> None:
        pod = self.pods.pop(uid, None)
        if pod is not None:
            self.requested.subtract(pod.requests)
            self.scored.subtract(pod.scored_requests)

    @property
    def taints(self) -> list[Object]:
        return self.node["spec"].get("taints") or []


class Snapshot:
    """All nodes and what runs on them. Kept up to date by the loop: a change costs what changed."""

    def __init__(self) -> None:
        self.nodes: dict[str, NodeInfo] = {}
        self._homes: dict[str, NodeInfo] = {}
        self._waiting: dict[str, NodeInfo] = {}  # pods of nodes that are not known (yet)

    def put_node(self, node: Object) -> None:
        name = node["metadata"]["name"]
        info = self.nodes.get(name) or self._waiting.pop(name, None) or NodeInfo(name)
        info.update(node)
        self.nodes[name] = info

    def remove_node(self, name: str) -> None:
        info = self.nodes.pop(name, None)
        if info is not None and info.pods:
            self._waiting[name] = info

    def put_pod(self, pod: PodInfo, node: str) -> None:
        self.remove_pod(pod.uid)
        info = self.nodes.get(node)
        if info is None:
            info = self._waiting.setdefault(node, NodeInfo(node))
        info.add(pod)
        self._homes[pod.uid] = info

    def remove_pod(self, uid: str) -> None:
        info = self._homes.pop(uid, None)
        if info is not None:
            info.remove(uid)
            if not info.pods:
                self._waiting.pop(info.name, None)


def counts_on_node(pod: Object) -> bool:
    """Whether a bound pod takes anything of its node still."""
    return dig(pod, "status", "phase") not in ("Succeeded", "Failed")


def counts_for_spreading(pod: PodInfo) -> bool:
    return not is_terminating(pod.pod)
