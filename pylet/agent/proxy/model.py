"""What the proxy knows of one service: its ports, where each answers, and which endpoints stand behind it.

Pure. Behaviour: Kubernetes' pkg/proxy/serviceport.go, endpointslicecache.go and topology.go; KEP-1669 (terminating
endpoints), KEP-2086 (internal traffic policy).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from pylet.api.object import Object, dig, labels_of

_FAMILIES = {"IPv4": 4, "IPv6": 6}
_OTHER_PROXY = "service.kubernetes.io/service-proxy-name"


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    address: str
    port: int
    is_local: bool = False
    """It runs on this node."""


@dataclass(frozen=True, slots=True)
class Backend:
    """Where a frontend's traffic may go; without endpoints it is refused, or dropped where other nodes have some."""

    endpoints: tuple[Endpoint, ...]
    has_remote: bool = False
    """There are endpoints, but a Local policy keeps this node from using them."""


@dataclass(frozen=True, slots=True)
class ServicePort:
    """One port of a service in one address family."""

    family: int
    """4 or 6."""
    protocol: str
    """tcp, udp or sctp."""
    address: str
    """The cluster address."""
    port: int
    internal: Backend
    node_port: int = 0
    """0 where the service has none."""
    external: Backend = Backend(())
    """What stands behind the node port."""
    is_local_external: bool = False
    """The node port's traffic stays on this node and keeps its source address."""
    is_sticky: bool = False
    """A client stays with its endpoint."""


def ports(service: Object, slices: Iterable[Object], node: str) -> tuple[ServicePort, ...]:
    """The ports that node `node` serves for a service with these EndpointSlices; none for headless and ExternalName."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName" or _OTHER_PROXY in labels_of(service):
        return ()
    slices = list(slices)
    return tuple(
        _port(
            spec, port, address, family, [item for item in slices if _FAMILIES.get(item["addressType"]) == family], node
        )
        for address, family in _addresses(spec)
        for port in spec.get("ports") or ()
    )


def _addresses(spec: Object) -> Iterator[tuple[str, int]]:
    for address in spec.get("clusterIPs") or [spec.get("clusterIP", "")]:
        if address and address != "None":
            yield address, ipaddress.ip_address(address).version


def _port(spec: Object, port: Object, address: str, family: int, slices: list[Object], node: str) -> ServicePort:
    protocol = port.get("protocol", "TCP")
    found = list(_endpoints(slices, port.get("name", ""), protocol, node))
    is_local_external = spec.get("externalTrafficPolicy") == "Local"
    node_port = port.get("nodePort", 0)
    return ServicePort(
        family=family,
        protocol=protocol.lower(),
        address=address,
        port=port["port"],
        internal=_backend(found, only_local=spec.get("internalTrafficPolicy") == "Local"),
        node_port=node_port,
        external=_backend(found, only_local=is_local_external) if node_port else Backend(()),
        is_local_external=is_local_external,
        is_sticky=spec.get("sessionAffinity") == "ClientIP",
    )


def _endpoints(slices: list[Object], name: str, protocol: str, node: str) -> Iterator[tuple[Endpoint, bool]]:
    """Endpoints that may get traffic, each with whether it is ready (otherwise: still serving while it terminates)."""
    for item in slices:
        number = _port_number(item, name, protocol)
        if number is None:
            continue
        for endpoint in item.get("endpoints") or ():
            ready = dig(endpoint, "conditions", "ready", default=True)
            serving = dig(endpoint, "conditions", "serving", default=ready)
            if ready or (serving and dig(endpoint, "conditions", "terminating", default=False)):
                # the first address alone has meaning, says the API
                yield Endpoint(endpoint["addresses"][0], number, endpoint.get("nodeName") == node), ready


def _port_number(item: Object, name: str, protocol: str) -> int | None:
    for port in item.get("ports") or ():
        if (port.get("name") or "") == name and (port.get("protocol") or "TCP") == protocol:
            number: int | None = port.get("port")
            return number
    return None


def _backend(found: list[tuple[Endpoint, bool]], *, only_local: bool) -> Backend:
    """Ready endpoints, or where there are none those that still serve while they terminate."""
    eligible = [(endpoint, ready) for endpoint, ready in found if endpoint.is_local or not only_local]
    chosen = {endpoint for endpoint, ready in eligible if ready} or {endpoint for endpoint, _ in eligible}
    return Backend(tuple(sorted(chosen)), has_remote=only_local and bool(found))
