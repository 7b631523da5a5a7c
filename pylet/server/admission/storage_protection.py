"""Volumes, claims and attribute classes stay until nobody uses them: each gets the finalizer that says so.

Source: plugin/pkg/admission/storage/storageobjectinuseprotection.
"""

from __future__ import annotations

from pylet.server.admission.interface import CREATE, Attributes, Plugin

_FINALIZERS = {
    "persistentvolumes": "kubernetes.io/pv-protection",
    "persistentvolumeclaims": "kubernetes.io/pvc-protection",
    "volumeattributesclasses": "kubernetes.io/vac-protection",
}


async def admit(write: Attributes) -> None:
    assert write.obj is not None
    meta = write.obj["metadata"]
    finalizer, present = _FINALIZERS[write.kind.plural], meta.get("finalizers") or []
    if finalizer not in present:
        meta["finalizers"] = [*present, finalizer]


PLUGIN = Plugin("StorageObjectInUseProtection", dict.fromkeys(_FINALIZERS, frozenset((CREATE,))), admit)
