"""What a fresh cluster starts with, as objects; `ensure` makes the cluster have them and writes only what differs."""

from pylet.server.addons.ensure import ensure, ensure_gateway_api
from pylet.server.addons.objects import (
    KEPT,
    extension_authentication,
    kubernetes_service,
    local_path,
    namespaces,
    objects,
)

__all__ = [
    "KEPT",
    "ensure",
    "ensure_gateway_api",
    "extension_authentication",
    "kubernetes_service",
    "local_path",
    "namespaces",
    "objects",
]
