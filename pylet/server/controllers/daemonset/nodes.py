"""Which nodes a DaemonSet's pods belong on, and the pod it makes for a node.

Source: upstream `pkg/controller/daemon/daemon_controller.go` (NodeShouldRunDaemonPod),
`pkg/controller/daemon/util/daemonset_util.go`.
"""

from __future__ import annotations

from enum import Enum

from pylet.api import nodeaffinity
from pylet.api.kinds.daemonset import GENERATION
from pylet.api.kinds.daemonset import KIND as DAEMON_SET
from pylet.api.object import Object, annotations_of, dig, labels_of
from pylet.api.podtemplate import pod_of
from pylet.api.taints import first_untolerated

HASH_LABEL = "controller-revision-hash"
_GENERATION_LABEL = "pod-template-generation"
_NODE = "node.kubernetes.io/"
_ENDURED = (
    ("not-ready", "NoExecute"),
    ("unreachable", "NoExecute"),
    ("disk-pressure", "NoSchedule"),
    ("memory-pressure", "NoSchedule"),
    ("pid-pressure", "NoSchedule"),
    ("unschedulable", "NoSchedule"),
)


class Place(Enum):
    """What a node is to a DaemonSet."""

    RUN = "pods start and stay"
    KEEP = "a pod that runs stays, none is started"
    LEAVE = "no pod belongs here"


def place(daemon_set: Object, node: Object) -> Place:
    spec, name = daemon_set["spec"]["template"]["spec"], node["metadata"]["name"]
    if spec.get("nodeName") not in (None, "", name) or not nodeaffinity.allows(spec, name, labels_of(node)):
        return Place.LEAVE
    taints, tolerations = dig(node, "spec", "taints", default=()), _tolerations(spec)
    if first_untolerated(taints, tolerations, ("NoExecute",)) is not None:
        return Place.LEAVE
    return Place.KEEP if first_untolerated(taints, tolerations, ("NoSchedule",)) is not None else Place.RUN


def pod_for(daemon_set: Object, node: str, revision: str) -> Object:
    """A pod that only this node may get; `revision` is the hash of the template it is made from."""
    template = daemon_set["spec"]["template"]
    spec = template["spec"]
    affinity = spec.get("affinity") or {}
    only = {"nodeSelectorTerms": [{"matchFields": [{"key": "metadata.name", "operator": "In", "values": [node]}]}]}
    to_node = {**(affinity.get("nodeAffinity") or {}), "requiredDuringSchedulingIgnoredDuringExecution": only}
    made = pod_of(template, daemon_set, DAEMON_SET)
    made["metadata"]["labels"] = {
        **labels_of(template),
        _GENERATION_LABEL: annotations_of(daemon_set).get(GENERATION, ""),
        HASH_LABEL: revision,
    }
    made["spec"] = {**spec, "affinity": {**affinity, "nodeAffinity": to_node}, "tolerations": _tolerations(spec)}
    return made


def node_of(pod: Object) -> str:
    """The node a pod is on or, while it waits for the scheduler, the one it was made for."""
    if name := dig(pod, "spec", "nodeName"):
        return str(name)
    required = dig(
        pod, "spec", "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution", default={}
    )
    for term in required.get("nodeSelectorTerms") or ():
        for field in term.get("matchFields") or ():
            if field["key"] == "metadata.name" and field["operator"] == "In" and len(field["values"]) == 1:
                return str(field["values"][0])
    return ""


def is_updated(pod: Object, daemon_set: Object, revision: str) -> bool:
    labels, generation = labels_of(pod), annotations_of(daemon_set).get(GENERATION)
    return labels.get(HASH_LABEL) == revision or (
        generation is not None and labels.get(_GENERATION_LABEL) == generation
    )


def _tolerations(spec: Object) -> list[Object]:
    """A daemon endures what makes a node unfit for other pods."""
    endured = [*_ENDURED, ("network-unavailable", "NoSchedule")] if spec.get("hostNetwork") else _ENDURED
    added = [{"key": _NODE + name, "operator": "Exists", "effect": effect} for name, effect in endured]
    own = [toleration for toleration in spec.get("tolerations") or () if toleration not in added]
    return [*own, *added]
