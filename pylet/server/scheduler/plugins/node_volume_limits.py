"""NodeVolumeLimits: a CSI driver attaches only so many volumes to a node, those of clouds' old plugins among them.

Source: upstream `plugins/nodevolumelimits/csi.go`, `csi-translation-lib`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import TypeAlias

from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Key, Object, dig, key_of
from pylet.api.volumebinding import class_of
from pylet.client.view import View
from pylet.server.scheduler.changes import left
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import NodeInfo, Pending, PodInfo
from pylet.server.scheduler.snapshot import Snapshot

_Volume: TypeAlias = tuple[str, str]
"""A driver and its handle of a volume."""

_MIGRATED = {
    "awsElasticBlockStore": ("kubernetes.io/aws-ebs", "ebs.csi.aws.com", "volumeID"),
    "azureDisk": ("kubernetes.io/azure-disk", "disk.csi.azure.com", "diskURI"),
    "cinder": ("kubernetes.io/cinder", "cinder.csi.openstack.org", "volumeID"),
    "gcePersistentDisk": ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io", "pdName"),
    "portworxVolume": ("kubernetes.io/portworx-volume", "pxd.portworx.com", "volumeID"),
}
"""Volume sources: the plugin each had, the driver that took its place, and the field that names the volume."""

_DRIVERS = {plugin: driver for plugin, driver, _ in _MIGRATED.values()}


class NodeVolumeLimits(Plugin):
    name = "NodeVolumeLimits"
    _refusal = Refusal(name, ("node(s) exceed max volume count",))

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        if not pod.claims and not pod.disks:
            return None
        view = snapshot.view
        for name in pod.claims:
            if view.get(CLAIM, Key(pod.namespace, name)) is None:
                why = f'looking up PVC {pod.namespace}/{name}: persistentvolumeclaim "{name}" not found'
                return Refusal(self.name, (why,), is_final=True)
        wanted = _attachable(pod, view)
        if not wanted:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            limits = _limits(view.get(CSI_NODE, Key("", node.name)))
            if limits.keys().isdisjoint(driver for driver, _ in wanted):
                return None
            used = {volume for other in node.pods.values() for volume in _attachable(other, view)}
            attached = Counter(driver for driver, _ in used | _attached(node, view))
            for driver, count in Counter(driver for driver, _ in wanted - used).items():
                if driver in limits and attached[driver] + count > limits[driver]:
                    return self._refusal
            return None

        return check

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if change.kind is CSI_NODE and change.after is not None:
            was, now = _limits(change.before), _limits(change.after)
            return change.before is None or any(limit > was.get(driver, 0) for driver, limit in now.items())
        if change.kind is CLAIM and change.after is not None:
            key = key_of(change.after)
            return change.before is None and key.namespace == pod.namespace and key.name in pod.claims
        if change.kind is ATTACHMENT:
            return change.before is not None and change.after is None and _may_wait_for(pod, change.before)
        gone = left(change)
        return gone is not None and bool((info := PodInfo(gone)).claims or any(map(_inline, info.disks)))


def _may_wait_for(pod: Pending, attachment: Object) -> bool:
    drivers = {found[0] for disk in pod.disks if (found := _inline(disk)) is not None}
    return bool(pod.claims) or attachment["spec"].get("attacher") in drivers


def _limits(csi_node: Object | None) -> dict[str, int]:
    drivers: Iterable[Object] = dig(csi_node, "spec", "drivers", default=())
    return {driver["name"]: count for driver in drivers if (count := dig(driver, "allocatable", "count")) is not None}


def _attached(node: NodeInfo, view: View) -> set[_Volume]:
    """Volumes attached to the node, whoever uses them."""
    found = set()
    for attachment in view.select(ATTACHMENT):
        if attachment["spec"].get("nodeName") != node.name:
            continue
        name = dig(attachment, "spec", "source", "persistentVolumeName")
        volume = view.get(VOLUME, Key("", name)) if name else None
        if volume is not None and (handle := dig(volume, "spec", "csi", "volumeHandle")):
            found.add((attachment["spec"]["attacher"], handle))
    return found


def _attachable(pod: PodInfo, view: View) -> set[_Volume]:
    """The pod's CSI volumes; what is yet to be provisioned goes by its claim."""
    found = [migrated for disk in pod.disks if (migrated := _inline(disk)) is not None]
    for name in pod.claims:
        claim = view.get(CLAIM, Key(pod.namespace, name))
        if claim is None:
            continue
        volume = view.get(VOLUME, Key("", claim["spec"].get("volumeName", "")))
        if volume is None:
            storage_class = view.get(CLASS, Key("", class_of(claim)))
            provisioner = "" if storage_class is None else storage_class.get("provisioner", "")
            found.append((_DRIVERS.get(provisioner, provisioner), f"{pod.namespace}/{name}"))
        elif (csi := volume["spec"].get("csi")) is not None:
            found.append((csi["driver"], csi.get("volumeHandle", "")))
        elif (migrated := _inline(volume["spec"])) is not None:
            found.append(migrated)
    return {(driver, handle) for driver, handle in found if driver and handle}


def _inline(source: Object) -> _Volume | None:
    """The volume as its new driver knows it."""
    for kind, (_, driver, named) in _MIGRATED.items():
        if kind in source:
            return driver, source[kind].get(named, "")
    return None


PLUGIN = NodeVolumeLimits()
