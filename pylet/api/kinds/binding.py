"""Binding: assigns a pod to a node; answered at once, never stored."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="",
    version="v1",
    name="Binding",
    plural="bindings",
    definition="io.k8s.api.core.v1.Binding",
    verbs=("create",),
)
