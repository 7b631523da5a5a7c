"""What server and agents agree on about the Gateway API (gateway-api v1.6): names, who may attach to whom, who may name
what. Pure; nothing imports it before somebody makes a Gateway.
"""

from __future__ import annotations

from pylet.api.kind import Kind

GROUP = "gateway.networking.k8s.io"
CONTROLLER = "pylet.io/gateway-controller"
"""What a GatewayClass names to be served by the nodes themselves."""

GATEWAY_CLASS = Kind(GROUP, "v1", "GatewayClass", "gatewayclasses", definition="", namespaced=False)
GATEWAY = Kind(GROUP, "v1", "Gateway", "gateways", definition="")
HTTP_ROUTE = Kind(GROUP, "v1", "HTTPRoute", "httproutes", definition="")
REFERENCE_GRANT = Kind(GROUP, "v1beta1", "ReferenceGrant", "referencegrants", definition="")
