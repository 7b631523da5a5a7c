"""Nodes and pods as the scheduler counts them: what is asked for once is worked out once. Pure.

What counts on a node is kept without its decoded object, which is many times larger than all that is needed of it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cached_property, lru_cache
from typing import Any

import orjson

from pylet.api.hostports import HostPort, host_ports
from pylet.api.object import Key, Object, condition_of, controller_of, dig, is_terminating, key_of, labels_of, uid_of
from pylet.api.podtemplate import is_finished
from pylet.server.scheduler.requests import Resources, amounts, pod_requests, scored_requests
from pylet.server.scheduler.terms import NONE, Affinity, affinity_of

_DISKS = ("gcePersistentDisk", "awsElasticBlockStore", "azureDisk", "cinder", "portworxVolume", "iscsi", "rbd")
"""Volume sources in a pod itself that a node has not enough of for every pod."""


class PodInfo:
    """What a pod that has a node, or may get one, counts for."""

    __slots__ = (
        "affinity",
        "claims",
        "disks",
        "is_preempted",
        "is_terminating",
        "key",
        "labels",
        "namespace",
        "ports",
        "priority",
        "requests",
        "scored",
        "started",
        "uid",
    )

    def __init__(self, pod: Object) -> None:
        spec = pod["spec"]
        self.key: Key = key_of(pod)
        self.uid = uid_of(pod)
        self.namespace = self.key.namespace
        labels = labels_of(pod)
        self.labels = _shared_labels(tuple(labels.items())) if len(labels) <= _MOST_SHARED_LABELS else labels
        self.requests: Resources = pod_requests(pod)
        self.scored: Resources = scored_requests(pod)
        self.ports = tuple(host_ports(spec))
        self.priority: int = spec.get("priority") or 0
        self.is_terminating = is_terminating(pod)
        self.is_preempted = self.is_terminating and _is_preempted(pod)
        self.started: str = dig(pod, "status", "startTime", default="")
        self.affinity: Affinity = affinity_of(pod) if spec.get("affinity") else NONE
        self.claims: tuple[str, ...] = ()
        self.disks: tuple[Object, ...] = ()
        if volumes := spec.get("volumes"):
            self.claims = tuple(claim for volume in volumes if (claim := claim_of(volume, self.key.name)))
            self.disks = tuple(volume for volume in volumes if any(disk in volume for disk in _DISKS))

    def counts_as(self, other: PodInfo) -> bool:
        """Whether nobody could tell the two apart: most changes of a pod's status are none to the scheduler."""
        return all(getattr(self, name) == getattr(other, name) for name in PodInfo.__slots__)


class Pending(PodInfo):
    """A pod to place: here its object is at hand."""

    __slots__ = ("__dict__", "pod")

    def __init__(self, pod: Object) -> None:
        super().__init__(pod)
        self.pod = pod

    @property
    def spec(self) -> Object:
        spec: Object = self.pod["spec"]
        return spec

    @property
    def nominated(self) -> str:
        node: str = dig(self.pod, "status", "nominatedNodeName", default="")
        return node

    @cached_property
    def tolerations(self) -> list[Object]:
        return self.spec.get("tolerations") or []

    @cached_property
    def shape(self) -> bytes:
        """Pods of the same shape are the same to every plugin that looks at nothing but one node at a time."""
        spec = self.spec
        asked: list[Any] = [spec.get(name) for name in ("tolerations", "nodeSelector", "nodeName")]
        asked += [dig(spec, "affinity", "nodeAffinity"), self.requests, self.scored, self.ports]
        return orjson.dumps(asked)

    @cached_property
    def owner(self) -> Object | None:
        return controller_of(self.pod)


def _is_preempted(pod: Object) -> bool:
    target = condition_of(pod, "DisruptionTarget") or {}
    return target.get("status") == "True" and target.get("reason") == "PreemptionByScheduler"


def claim_of(volume: Object, pod: str) -> str:
    """The claim behind a volume of the pod of that name; "" when there is none."""
    if (claimed := volume.get("persistentVolumeClaim")) is not None:
        name: str = claimed.get("claimName", "")
        return name
    return f"{pod}-{volume['name']}" if "ephemeral" in volume else ""


def named_claims(spec: Object) -> list[str]:
    """The claims a pod names itself, without those made for its ephemeral volumes."""
    return [
        claimed.get("claimName", "")
        for volume in spec.get("volumes") or ()
        if (claimed := volume.get("persistentVolumeClaim")) is not None
    ]


_MOST_SHARED_LABELS = 64  # what is shared is kept for a while after the last pod that bore it


@lru_cache(maxsize=4096)
def _shared_labels(items: tuple[tuple[str, str], ...]) -> Mapping[str, str]:
    return dict(items)


class NodeInfo:
    """A node with the pods that count on it, their requests summed up. `generation` changes with any of it."""

    __slots__ = (
        "allocatable",
        "features",
        "generation",
        "images",
        "is_known",
        "labels",
        "name",
        "pods",
        "ports",
        "requested",
        "scored",
        "taints",
        "unschedulable",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.generation = 0
        self.is_known = False
        self.labels: Mapping[str, str] = {}
        self.taints: list[Object] = []
        self.unschedulable = False
        self.allocatable: Resources = {}
        self.images: Mapping[str, int] = {}
        self.features: frozenset[str] = frozenset()
        self.pods: dict[str, PodInfo] = {}
        self.requested: dict[str, int] = {}
        self.scored: dict[str, int] = {}
        self.ports: dict[HostPort, int] = {}

    def update(self, node: Object) -> None:
        spec, status = node.get("spec") or {}, node.get("status") or {}
        self.is_known = True
        self.labels = labels_of(node)
        self.taints = spec.get("taints") or []
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable = amounts(status.get("allocatable"))
        self.features = frozenset(status.get("declaredFeatures") or ())
        self.images = {
            sys.intern(name): image.get("sizeBytes", 0)
            for image in status.get("images") or ()
            for name in image.get("names") or ()
        }

    def count(self, pod: PodInfo, by: int) -> None:
        """Add the pod (`by` 1) or take it away (-1)."""
        for sums, amounts_ in ((self.requested, pod.requests), (self.scored, pod.scored)):
            for name, amount in amounts_.items():
                sums[name] = sums.get(name, 0) + by * amount
        for port in pod.ports:
            left = self.ports.get(port, 0) + by
            if left:
                self.ports[port] = left
            else:
                del self.ports[port]
        if by > 0:
            self.pods[pod.uid] = pod
        else:
            del self.pods[pod.uid]


def counts_on_node(pod: Object) -> bool:
    """Whether a bound pod takes anything of its node still."""
    return not is_finished(pod)
