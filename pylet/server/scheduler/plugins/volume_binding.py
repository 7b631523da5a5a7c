"""VolumeBinding: a pod's claims are bound to volumes that reach the node, or can be on it."""

from __future__ import annotations

from pylet.api.kinds.csidriver import KIND as DRIVER
from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.csistoragecapacity import KIND as CAPACITY
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.object import annotations_of, dig, key_of, labels_of
from pylet.server.scheduler import volumes
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import NodeInfo, Pending
from pylet.server.scheduler.snapshot import Snapshot

_MIGRATED = "storage.alpha.kubernetes.io/migrated-plugins"


class VolumeBinding(Plugin):
    name = "VolumeBinding"

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        view, assumed = snapshot.view, snapshot.assumed
        try:
            claims = volumes.claims_of(pod, view)
        except volumes.Unusable as why:
            return Refusal(self.name, (str(why),), is_final=True)
        if claims is None:
            return None
        found = volumes.candidates(claims, view, assumed)

        def check(node: NodeInfo) -> Refusal | None:
            planned = volumes.plan(claims, found, node, view, assumed)
            return Refusal(self.name, planned, is_final=True) if isinstance(planned, tuple) else None

        return check

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        before, after = change.before, change.after
        if after is None:
            return False
        if change.kind is CLAIM:
            key = key_of(after)
            return key.namespace == pod.namespace and key.name in pod.claims
        if change.kind is VOLUME:
            return True
        if change.kind is NODE:
            return before is None or labels_of(before) != labels_of(after)
        if before is None:
            return change.kind in (CLASS, CSI_NODE, CAPACITY)
        if change.kind is CLASS:
            return before.get("allowedTopologies") != after.get("allowedTopologies")
        if change.kind is CAPACITY:
            was, now = volumes.volume_limit(before), volumes.volume_limit(after)
            return now is not None and (was is None or now > was)
        if change.kind is CSI_NODE:
            return annotations_of(before).get(_MIGRATED) != annotations_of(after).get(_MIGRATED)
        if change.kind is DRIVER:
            return _stops_checking(before, after) and any(
                dig(volume, "csi", "driver") == after["metadata"]["name"] for volume in pod.spec.get("volumes") or ()
            )
        return False


def _stops_checking(before: object, after: object) -> bool:
    return bool(dig(before, "spec", "storageCapacity")) and not dig(after, "spec", "storageCapacity")


PLUGIN = VolumeBinding()
