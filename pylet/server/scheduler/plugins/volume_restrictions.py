"""VolumeRestrictions: disks that only one pod of a node can use, and claims only one pod at all can.

Source: upstream `plugins/volumerestrictions/volume_restrictions.go`.
"""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, key_of
from pylet.server.scheduler.changes import is_node
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import NodeInfo, Pending, PodInfo, named_claims
from pylet.server.scheduler.snapshot import Snapshot

_ALONE = ("gcePersistentDisk", "awsElasticBlockStore", "iscsi", "rbd")  # two pods of a node cannot freely share it


class VolumeRestrictions(Plugin):
    name = "VolumeRestrictions"
    _no_disk = Refusal(name, ("node(s) had no available disk",))
    _in_use = Refusal(
        name,
        (
            "node(s) unavailable due to PersistentVolumeClaim with ReadWriteOncePod access mode already in-use by "
            "another pod",
        ),
    )

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        if not pod.claims and not pod.disks:
            return None
        is_taken = False
        for name in named_claims(pod.spec):
            key = Key(pod.namespace, name)
            claim = snapshot.view.get(CLAIM, key)
            if claim is None:
                return Refusal(self.name, (f'persistentvolumeclaim "{name}" not found',), is_final=True)
            if "ReadWriteOncePod" in (claim["spec"].get("accessModes") or ()) and key in snapshot.claim_users:
                is_taken = True
        if not is_taken and not pod.disks:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            if pod.disks and any(_collide(pod.disks, other.disks) for other in node.pods.values() if other.disks):
                return self._no_disk
            return self._in_use if is_taken else None

        return check

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        if is_node(change):
            return change.before is None
        if change.kind is CLAIM and change.after is not None:
            key = key_of(change.after)
            return change.before is None and key.namespace == pod.namespace and key.name in named_claims(pod.spec)
        if change.kind is not POD or change.after is not None or change.before is None:
            return False
        gone = PodInfo(change.before)
        if gone.namespace != pod.namespace:
            return False
        return _collide(pod.disks, gone.disks) or not set(gone.claims).isdisjoint(pod.claims)


def _collide(ones: Iterable[Object], others: Iterable[Object]) -> bool:
    others = list(others)
    return any(
        _is_same(kind, one[kind], other[kind])
        for one in ones
        for other in others
        for kind in _ALONE
        if kind in one and kind in other
    )


def _is_same(kind: str, one: Object, other: Object) -> bool:
    """The same disk, and not only read by both; an EBS volume cannot be shared at all."""
    if kind == "awsElasticBlockStore":
        return bool(one["volumeID"] == other["volumeID"])
    if one.get("readOnly") and other.get("readOnly"):
        return False
    match kind:
        case "gcePersistentDisk":
            return bool(one["pdName"] == other["pdName"])
        case "iscsi":
            return bool(one["iqn"] == other["iqn"])
        case _:
            shared = not set(one.get("monitors") or ()).isdisjoint(other.get("monitors") or ())
            return shared and one.get("pool") == other.get("pool") and one.get("image") == other.get("image")


PLUGIN = VolumeRestrictions()
