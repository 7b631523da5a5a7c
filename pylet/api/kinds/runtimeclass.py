"""RuntimeClasses."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="node.k8s.io",
    version="v1",
    name="RuntimeClass",
    plural="runtimeclasses",
    definition="io.k8s.api.node.v1.RuntimeClass",
    namespaced=False,
)
