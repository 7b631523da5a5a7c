"""A claim grows only when it is bound and its class allows it.

Source: plugin/pkg/admission/storage/persistentvolume/resize.
"""

from __future__ import annotations

from pylet.api import quantity
from pylet.api.object import Key, Object, dig
from pylet.api.volumebinding import class_of
from pylet.server.admission.interface import UPDATE, Attributes, Plugin


async def validate(write: Attributes) -> None:
    assert write.obj is not None
    assert write.old is not None
    if _size(write.obj) <= _size(write.old):
        return
    if dig(write.old, "status", "phase") != "Bound":
        raise write.forbidden("Only bound persistent volume claims can be expanded")
    named = class_of(write.obj)
    entry = write.table("StorageClass").entries.get(Key("", named)) if named == class_of(write.old) else None
    if entry is None or not entry.object.get("allowVolumeExpansion"):
        raise write.forbidden(
            "only dynamically provisioned pvc can be resized and "
            "the storageclass that provisions the pvc must support resize"
        )


def _size(claim: Object) -> int:
    return quantity.parse(str(dig(claim, "spec", "resources", "requests", "storage", default="0"))).nanos


PLUGIN = Plugin("PersistentVolumeClaimResize", {"persistentvolumeclaims": frozenset((UPDATE,))}, validate=validate)
