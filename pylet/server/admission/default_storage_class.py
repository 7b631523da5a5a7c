"""A claim that names no class gets the default one. Source: plugin/pkg/admission/storage/storageclass/setdefault."""

from __future__ import annotations

from pylet.api.volumebinding import default_class, has_class
from pylet.server.admission.interface import CREATE, Attributes, Plugin


async def admit(write: Attributes) -> None:
    claim = write.obj
    assert claim is not None
    if has_class(claim):
        return
    default = default_class(entry.object for entry in write.table("StorageClass").entries.values())
    if default is not None:
        claim["spec"]["storageClassName"] = default["metadata"]["name"]


PLUGIN = Plugin("DefaultStorageClass", {"persistentvolumeclaims": frozenset((CREATE,))}, admit)
