"""Deployments."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="apps",
    version="v1",
    name="Deployment",
    plural="deployments",
    definition="io.k8s.api.apps.v1.Deployment",
    short_names=("deploy",),
    categories=("all",),
    subresources=("scale", "status"),
)
