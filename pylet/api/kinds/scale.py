"""Scale: the body of a subresource, never stored and no resource of its own."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="autoscaling",
    version="v1",
    name="Scale",
    plural="scales",
    definition="io.k8s.api.autoscaling.v1.Scale",
    verbs=(),
)
