"""Leases."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="coordination.k8s.io",
    version="v1",
    name="Lease",
    plural="leases",
    definition="io.k8s.api.coordination.v1.Lease",
)
