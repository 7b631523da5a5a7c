"""A claim that names no class gets the default one, the newest if there are several.

Source: plugin/pkg/admission/storage/storageclass/setdefault, pkg/volume/util/storageclass.go.
"""

from __future__ import annotations

from pylet.api.object import annotations_of
from pylet.server.admission.interface import CREATE, Attributes, Plugin

_CLASS = "volume.beta.kubernetes.io/storage-class"
_DEFAULT = ("storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class")


async def admit(write: Attributes) -> None:
    claim = write.obj
    assert claim is not None
    if claim["spec"].get("storageClassName") is not None or _CLASS in annotations_of(claim):
        return
    defaults = [
        found.object["metadata"]
        for found in write.table("StorageClass").entries.values()
        if any(annotations_of(found.object).get(name) == "true" for name in _DEFAULT)
    ]
    defaults.sort(key=lambda meta: str(meta["name"]))
    if defaults:
        claim["spec"]["storageClassName"] = max(defaults, key=lambda meta: str(meta["creationTimestamp"]))["name"]


PLUGIN = Plugin("DefaultStorageClass", {"persistentvolumeclaims": frozenset((CREATE,))}, admit)
