"""Endpoints: the addresses behind a Service, in the older form."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="",
    version="v1",
    name="Endpoints",
    plural="endpoints",
    definition="io.k8s.api.core.v1.Endpoints",
    short_names=("ep",),
)
