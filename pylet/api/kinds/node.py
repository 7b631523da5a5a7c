"""Nodes."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="",
    version="v1",
    name="Node",
    plural="nodes",
    definition="io.k8s.api.core.v1.Node",
    namespaced=False,
    short_names=("no",),
    subresources=("proxy", "status"),
)
