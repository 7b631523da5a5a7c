"""ConfigMaps."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="",
    version="v1",
    name="ConfigMap",
    plural="configmaps",
    definition="io.k8s.api.core.v1.ConfigMap",
    short_names=("cm",),
)
