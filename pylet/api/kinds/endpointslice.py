"""EndpointSlices: the addresses behind a Service."""

from __future__ import annotations

from pylet.api.kind import Kind

KIND = Kind(
    group="discovery.k8s.io",
    version="v1",
    name="EndpointSlice",
    plural="endpointslices",
    definition="io.k8s.api.discovery.v1.EndpointSlice",
)
