"""Eviction: the body of a subresource, never stored and no resource of its own."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="policy",
    version="v1",
    name="Eviction",
    plural="evictions",
    definition="io.k8s.api.policy.v1.Eviction",
    verbs=(),
)
