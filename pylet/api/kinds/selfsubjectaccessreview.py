"""SelfSubjectAccessReview: answered at once, never stored."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="authorization.k8s.io",
    version="v1",
    name="SelfSubjectAccessReview",
    plural="selfsubjectaccessreviews",
    definition="io.k8s.api.authorization.v1.SelfSubjectAccessReview",
    namespaced=False,
    verbs=("create",),
)
