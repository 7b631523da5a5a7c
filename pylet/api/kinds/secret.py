"""Secrets."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="",
    version="v1",
    name="Secret",
    plural="secrets",
    definition="io.k8s.api.core.v1.Secret",
)
