"""CSIStorageCapacities; upstream prints no columns of its own for them."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="storage.k8s.io",
    version="v1",
    name="CSIStorageCapacity",
    plural="csistoragecapacities",
    definition="io.k8s.api.storage.v1.CSIStorageCapacity",
)
