"""SelfSubjectReview: answered at once, never stored."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="SelfSubjectReview",
    plural="selfsubjectreviews",
    definition="io.k8s.api.authentication.v1.SelfSubjectReview",
    namespaced=False,
    verbs=("create",),
)
