"""NodeVolumeLimits: a CSI driver attaches only so many volumes to a node.

Source: upstream `plugins/nodevolumelimits/csi.go`, but for in-tree volumes that migrated to CSI.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

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


class NodeVolumeLimits(Plugin):
    name = "NodeVolumeLimits"
    _refusal = Refusal(name, ("node(s) exceed max volume count",))

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        if not pod.claims:
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
            if limits.keys().isdisjoint(wanted.values()):
                return None
            attached = _attached(node, view)
            used = Counter(attached.values())
            for driver, count in Counter(driver for name, driver in wanted.items() if name not in attached).items():
                if driver in limits and used[driver] + count > limits[driver]:
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
            return change.after is None and bool(pod.claims)
        gone = left(change)
        return gone is not None and bool(PodInfo(gone).claims)


def _limits(csi_node: Object | None) -> dict[str, int]:
    drivers: Iterable[Object] = dig(csi_node, "spec", "drivers", default=())
    return {driver["name"]: count for driver in drivers if (count := dig(driver, "allocatable", "count")) is not None}


def _attached(node: NodeInfo, view: View) -> dict[tuple[str, str], str]:
    """Volumes in use on the node or attached to it, with their drivers."""
    found: dict[tuple[str, str], str] = {}
    for other in node.pods.values():
        if other.claims:
            found |= _attachable(other, view)
    for attachment in view.select(ATTACHMENT):
        if attachment["spec"].get("nodeName") != node.name:
            continue
        name = dig(attachment, "spec", "source", "persistentVolumeName")
        volume = view.get(VOLUME, Key("", name)) if name else None
        if volume is not None and (handle := dig(volume, "spec", "csi", "volumeHandle")):
            driver = attachment["spec"]["attacher"]
            found[driver, handle] = driver
    return found


def _attachable(pod: PodInfo, view: View) -> dict[tuple[str, str], str]:
    """The pod's CSI volumes by (driver, handle); what is yet to be provisioned goes by its claim."""
    found: dict[tuple[str, str], str] = {}
    for name in pod.claims:
        claim = view.get(CLAIM, Key(pod.namespace, name))
        if claim is None:
            continue
        volume = view.get(VOLUME, Key("", claim["spec"].get("volumeName", "")))
        if volume is not None:
            driver, handle = (
                dig(volume, "spec", "csi", "driver", default=""),
                dig(volume, "spec", "csi", "volumeHandle"),
            )
        else:
            storage_class = view.get(CLASS, Key("", class_of(claim)))
            driver = "" if storage_class is None else storage_class.get("provisioner", "")
            handle = f"{pod.namespace}/{name}"
        if driver and handle:
            found[driver, handle] = driver
    return found


PLUGIN = NodeVolumeLimits()
