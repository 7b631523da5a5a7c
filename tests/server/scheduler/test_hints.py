"""Which changes have a waiting pod tried again: asked of the plugin that refused it (upstream's queueing hints)."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api import kinds
from pylet.api.object import Object
from pylet.server.scheduler.decide import Change, Plugin
from pylet.server.scheduler.model import Pending
from pylet.server.scheduler.plugins import (
    node_affinity,
    node_declared_features,
    node_name,
    node_ports,
    node_resources_fit,
    node_unschedulable,
    node_volume_limits,
    taint_toleration,
    volume_binding,
    volume_restrictions,
    volume_zone,
)
from tests.server.scheduler.kit import ZONE, node, pod, pod_object, snapshot_of
from tests.server.scheduler.test_volumes import CINDER, capacity, claim, csi_node, storage_class, user, volume

LABELLED = pod(nodeSelector={"disk": "ssd"})
PORT: Object = {"container": {"name": "c", "ports": [{"hostPort": 80, "containerPort": 80, "protocol": "TCP"}]}}
TAINT = [{"key": "gpu", "effect": "NoSchedule"}]
CORDONED = [{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}]
INLINE = [{"name": "v", "cinder": {"volumeID": "1"}}]


def change(before: Object | None, after: Object | None) -> Change:
    either = after or before
    assert either is not None
    group, _, version = either["apiVersion"].rpartition("/")
    kind = kinds.by_kind(group, version, either["kind"])
    assert kind is not None
    return Change(kind, before, after)


def attachment(driver: str) -> Object:
    spec = {"attacher": driver, "nodeName": "a", "source": {"persistentVolumeName": "disk"}}
    return {"apiVersion": "storage.k8s.io/v1", "kind": "VolumeAttachment", "metadata": {"name": "va"}, "spec": spec}


def gone(**asked: Any) -> Change:
    return change(pod_object("other", nodeName="a", **asked), None)


HELPS = {
    "a node of the name": (node_name.PLUGIN, pod(nodeName="a"), change(None, node("a"))),
    "a node is uncordoned": (
        node_unschedulable.PLUGIN,
        pod(),
        change(node("a", unschedulable=True), node("a")),
    ),
    "the pod tolerates cordons now": (
        node_unschedulable.PLUGIN,
        pod(),
        change(pod_object(), pod_object(tolerations=CORDONED)),
    ),
    "the taint goes": (taint_toleration.PLUGIN, pod(), change(node("a", taints=TAINT), node("a"))),
    "the pod tolerates otherwise": (
        taint_toleration.PLUGIN,
        pod(),
        change(pod_object(), pod_object(tolerations=[{"operator": "Exists"}])),
    ),
    "a node gets the label": (node_affinity.PLUGIN, LABELLED, change(node("a"), node("a", labels={"disk": "ssd"}))),
    "the port is free again": (node_ports.PLUGIN, pod(**PORT), gone(**PORT)),
    "somebody leaves": (node_resources_fit.PLUGIN, pod(), gone()),
    "somebody needs less": (
        node_resources_fit.PLUGIN,
        pod(),
        change(pod_object("other", nodeName="a", cpu="2"), pod_object("other", nodeName="a")),
    ),
    "a node has more": (node_resources_fit.PLUGIN, pod(cpu="3"), change(node("a", cpu="2"), node("a"))),
    "a node can more": (
        node_declared_features.PLUGIN,
        pod(),
        change(node("a"), node("a", status={"declaredFeatures": ["New"]})),
    ),
    "a driver may attach more": (node_volume_limits.PLUGIN, user(), change(csi_node("a", 1), csi_node("a", 2))),
    "a volume is detached": (node_volume_limits.PLUGIN, user(), change(attachment("any"), None)),
    "one of the new driver is detached": (
        node_volume_limits.PLUGIN,
        pod(volumes=INLINE),
        change(attachment(CINDER), None),
    ),
    "who had a volume leaves": (node_volume_limits.PLUGIN, user(), gone(volumes=INLINE)),
    "who had the claim leaves": (volume_restrictions.PLUGIN, user(), gone(volumes=user().spec["volumes"])),
    "the pod's claim comes": (volume_restrictions.PLUGIN, user(), change(None, claim())),
    "a volume comes": (volume_binding.PLUGIN, user(), change(None, volume())),
    "a class may go elsewhere": (
        volume_binding.PLUGIN,
        user(),
        change(storage_class(), storage_class(allowedTopologies=[])),
    ),
    "there is more room": (volume_binding.PLUGIN, user(), change(capacity("x", "1Gi"), capacity("x", "2Gi"))),
    "a volume moves to another zone": (
        volume_zone.PLUGIN,
        user(),
        change(volume(labels={ZONE: "x"}), volume(labels={ZONE: "y"})),
    ),
    "a class that waits comes": (volume_zone.PLUGIN, user(), change(None, storage_class())),
}

DOES_NOT = {
    "a node changes, whose name was not asked for": (
        node_name.PLUGIN,
        pod(nodeName="a"),
        change(node("a"), node("a", cpu="8")),
    ),
    "a node is cordoned": (node_unschedulable.PLUGIN, pod(), change(node("a"), node("a", unschedulable=True))),
    "the pod tolerates something else": (
        node_unschedulable.PLUGIN,
        pod(),
        change(pod_object(), pod_object(tolerations=[{"key": "gpu", "operator": "Exists"}])),
    ),
    "another pod tolerates cordons": (
        node_unschedulable.PLUGIN,
        pod(),
        change(pod_object("other"), pod_object("other", tolerations=CORDONED)),
    ),
    "another taint comes": (taint_toleration.PLUGIN, pod(), change(node("a"), node("a", taints=TAINT))),
    "a node had the label": (
        node_affinity.PLUGIN,
        LABELLED,
        change(node("a", labels={"disk": "ssd"}), node("a", labels={"disk": "ssd"}, cpu="8")),
    ),
    "another port is free": (node_ports.PLUGIN, pod(**PORT), gone()),
    "somebody needs more": (
        node_resources_fit.PLUGIN,
        pod(),
        change(pod_object("other", nodeName="a"), pod_object("other", nodeName="a", cpu="2")),
    ),
    "who had no node leaves": (node_resources_fit.PLUGIN, pod(), change(pod_object("other"), None)),
    "a node has more, and too little": (
        node_resources_fit.PLUGIN,
        pod(cpu="8"),
        change(node("a", cpu="2"), node("a", cpu="4")),
    ),
    "a driver may attach less": (node_volume_limits.PLUGIN, user(), change(csi_node("a", 2), csi_node("a", 1))),
    "a volume of another driver is detached": (
        node_volume_limits.PLUGIN,
        pod(volumes=INLINE),
        change(attachment("any"), None),
    ),
    "who had no volumes leaves": (node_volume_limits.PLUGIN, user(), gone()),
    "somebody else's claim comes": (volume_restrictions.PLUGIN, user(), change(None, claim("other"))),
    "there is less room": (volume_binding.PLUGIN, user(), change(capacity("x", "2Gi"), capacity("x", "1Gi"))),
    "a class that does not wait comes": (volume_zone.PLUGIN, user(), change(None, storage_class(mode="Immediate"))),
}


@pytest.mark.parametrize(
    ("plugin", "wanted", "heard", "helps"),
    [
        pytest.param(*case, helps, id=name)
        for cases, helps in ((HELPS, True), (DOES_NOT, False))
        for name, case in cases.items()
    ],
)
def test_a_change_helps(plugin: Plugin, wanted: Pending, heard: Change, helps: bool) -> None:
    assert plugin.may_help(wanted, heard, snapshot_of([])) is helps
