"""How a Service finds what stands behind it: which pods it selects and under which port numbers. Pure."""

from __future__ import annotations

from pylet.api.containers import lasting
from pylet.api.object import Object

SERVICE_NAME = "kubernetes.io/service-name"
"""Label of an EndpointSlice: whose backends these are."""
MANAGED_BY = "endpointslice.kubernetes.io/managed-by"


def target_port(port: Object, pod: Object) -> int | None:
    """The number a Service port has in `pod`; None when it names a port the pod does not declare."""
    target = port.get("targetPort") or port["port"]
    if isinstance(target, int):
        return target
    for container in lasting(pod["spec"]):
        for declared in container.get("ports") or ():
            if declared.get("name") == target and declared.get("protocol", "TCP") == port.get("protocol", "TCP"):
                return int(declared["containerPort"])
    return None


def family_of(address: str) -> str:
    return "IPv6" if ":" in address else "IPv4"


def hostname_under(service: Object, hostname: str, subdomain: str) -> str:
    """The name DNS gives a pod that asks for those below a headless Service; "" when it asked for none."""
    return hostname if subdomain == service["metadata"]["name"] else ""
