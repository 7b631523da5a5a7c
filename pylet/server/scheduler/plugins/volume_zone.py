"""VolumeZone: a volume labelled with a zone or region is used from nodes of it.

Source: upstream `plugins/volumezone/volume_zone.go`.
"""

from __future__ import annotations

from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.object import Key, Object, key_of, labels_of
from pylet.api.volumebinding import class_of, waits_for_consumer
from pylet.server.scheduler.changes import is_node
from pylet.server.scheduler.decide import Change, Check, Plugin, Refusal
from pylet.server.scheduler.model import NodeInfo, Pending, named_claims
from pylet.server.scheduler.snapshot import Snapshot

_STABLE = {
    "failure-domain.beta.kubernetes.io/zone": "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region": "topology.kubernetes.io/region",
}
_LABELS = (*_STABLE, *_STABLE.values())


class VolumeZone(Plugin):
    name = "VolumeZone"
    _refusal = Refusal(name, ("node(s) had no available volume zone",), is_final=True)

    def filter(self, pod: Pending, snapshot: Snapshot) -> Check | Refusal | None:
        wanted: list[tuple[str, frozenset[str]]] = []
        for name in named_claims(pod.spec):
            volume = self._volume(Key(pod.namespace, name), snapshot)
            if isinstance(volume, Refusal):
                return volume
            wanted += _topology(volume)
        if not wanted:
            return None

        def check(node: NodeInfo) -> Refusal | None:
            labels = node.labels
            if not any(name in labels for name in _LABELS):
                return None
            for key, values in wanted:
                if labels.get(key, labels.get(_STABLE.get(key, key))) not in values:
                    return self._refusal
            return None

        return check

    def _volume(self, key: Key, snapshot: Snapshot) -> Object | Refusal | None:
        """The volume behind a claim; None while its class waits for the pod to be placed."""
        claim = snapshot.view.get(CLAIM, key)
        if claim is None:
            return self._final(f'persistentvolumeclaim "{key.name}" not found')
        name = claim["spec"].get("volumeName")
        if name:
            volume = snapshot.view.get(VOLUME, Key("", name))
            return self._final(f'persistentvolume "{name}" not found') if volume is None else volume
        wanted = class_of(claim)
        if not wanted:
            return self._final("PersistentVolumeClaim had no pv name and storageClass name")
        storage_class = snapshot.view.get(CLASS, Key("", wanted))
        if storage_class is None:
            return self._final(f'storageclass.storage.k8s.io "{wanted}" not found')
        return None if waits_for_consumer(storage_class) else self._final("PersistentVolume had no name")

    def _final(self, why: str) -> Refusal:
        return Refusal(self.name, (why,), is_final=True)

    def may_help(self, pod: Pending, change: Change, snapshot: Snapshot) -> bool:
        before, after = change.before, change.after
        if after is None:
            return False
        if is_node(change):
            return before is None or labels_of(before) != labels_of(after)
        if change.kind is CLASS:
            return before is None and waits_for_consumer(after)
        if change.kind is CLAIM:
            key = key_of(after)
            return key.namespace == pod.namespace and key.name in named_claims(pod.spec)
        return change.kind is VOLUME and (before is None or _topology(before) != _topology(after))


def _topology(volume: Object | None) -> list[tuple[str, frozenset[str]]]:
    """Its zones and regions; several are joined by `__`."""
    labels = {} if volume is None else labels_of(volume)
    return [(name, frozenset(labels[name].split("__"))) for name in _LABELS if name in labels]


PLUGIN = VolumeZone()
