"""TokenRequest: the body of a subresource, never stored and no resource of its own."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="authentication.k8s.io",
    version="v1",
    name="TokenRequest",
    plural="tokenrequests",
    definition="io.k8s.api.authentication.v1.TokenRequest",
    verbs=(),
)
