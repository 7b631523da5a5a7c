"""What the proxy knows of services and host ports: where traffic is taken, and which endpoints stand behind that.

Pure. Behaviour: Kubernetes' pkg/proxy/serviceport.go, endpointslicecache.go, topology.go and nftables/proxier.go;
KEP-1669 (terminating endpoints), KEP-2086 (internal traffic policy), KEP-2433 and KEP-3015 (topology).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, collapse_addresses, ip_address, ip_network
from typing import Any, NamedTuple, TypeAlias

from pylet.api.containers import planned
from pylet.api.object import Object, dig, labels_of
from pylet.api.podtemplate import is_finished

Network: TypeAlias = IPv4Network | IPv6Network

_FAMILIES = {"IPv4": 4, "IPv6": 6}
OTHERS = {"service.kubernetes.io/service-proxy-name", "service.kubernetes.io/headless"}
"""Labels of Services and of EndpointSlices that are not this proxy's."""
_AFFINITY_SECONDS = 10800


@dataclass(frozen=True, slots=True)
class Here:
    """What the answers depend on besides the API's services: this node."""

    node: str
    zone: str = ""
    """The value of the node's label topology.kubernetes.io/zone."""
    addresses: tuple[str, ...] = ()
    """Where node ports answer."""
    external_ips: bool = False
    """Whether spec.externalIPs are served: who may write a Service could take any address's traffic (CVE-2020-8554)."""


class Endpoint(NamedTuple):
    address: str
    port: int
    is_local: bool = False
    """It runs on this node."""


class Frontend(NamedTuple):
    """One address, protocol and port where traffic is taken."""

    family: int
    """4 or 6."""
    address: str
    """Empty for a host port on every address of the node."""
    protocol: str
    """tcp, udp or sctp."""
    port: int
    endpoints: tuple[Endpoint, ...]
    """For everybody; or, where `outside` is given, for pods and for the node itself."""
    outside: tuple[Endpoint, ...] | None = None
    """For callers outside the cluster, where a Local policy gives them others."""
    is_dropped: bool = False
    """Without endpoints traffic is dropped, for there are some on other nodes; else it is refused."""
    is_masqueraded: bool = False
    """Endpoints see the node's address: the answer must come back this way."""
    sources: tuple[str, ...] = ()
    """Networks that may call; all may where there are none."""
    affinity_seconds: int = 0
    """How long a client stays with its endpoint; 0 for not at all."""
    is_contested: bool = False
    """Not the cluster's own address: another service, or a host port, may ask for the same."""
    serving: frozenset[tuple[str, int]] = frozenset()
    """Endpoints whose flows may go on: what a flow without connections (UDP, SCTP) is checked against."""

    @property
    def name(self) -> str:
        return f"{self.address} . {self.protocol} . {self.port}"


def frontends(service: Object, slices: Iterable[Object], here: Here) -> tuple[Frontend, ...]:
    """Where this node takes a service's traffic; nowhere for headless services and ExternalName."""
    spec = service["spec"]
    if spec.get("type") == "ExternalName" or OTHERS & labels_of(service).keys():
        return ()
    slices = list(slices)
    return tuple(
        frontend
        for address, family in _cluster_addresses(spec)
        for port in spec.get("ports") or ()
        for frontend in _of_port(service, port, address, family, slices, here)
    )


def health_check(service: Object, slices: Iterable[Object], node: str) -> tuple[int, int] | None:
    """The health-check node port of a service with a Local policy, and how many ready endpoints this node has."""
    spec = service["spec"]
    port: int = spec.get("healthCheckNodePort", 0)
    if not port or spec.get("type") != "LoadBalancer" or spec.get("externalTrafficPolicy") != "Local":
        return None
    found = {
        endpoint["addresses"][0]
        for item in slices
        for endpoint in item.get("endpoints") or ()
        if endpoint.get("nodeName") == node and _is_ready(endpoint)
    }
    return port, len(found)


def host_ports(pod: Object) -> tuple[Frontend, ...]:
    """The ports of this node that a pod asks for, once it has addresses and until it ends."""
    if dig(pod, "spec", "hostNetwork") or is_finished(pod):
        return ()
    asked = [
        port for container in planned(pod["spec"]) for port in container.get("ports") or () if port.get("hostPort")
    ]
    if not asked:
        return ()
    addresses = [item["ip"] for item in dig(pod, "status", "podIPs", default=()) or ()]
    return tuple(_host_port(port, address) for address in addresses for port in asked if _fits(port, address))


def _fits(port: Object, address: str) -> bool:
    wanted = port.get("hostIP")
    return not wanted or ip_address(wanted).version == ip_address(address).version


def _host_port(port: Object, address: str) -> Frontend:
    family = ip_address(address).version
    wanted = port.get("hostIP", "")
    endpoint = Endpoint(address, port["containerPort"], is_local=True)
    return Frontend(
        family=family,
        address="" if not wanted or ip_address(wanted).is_unspecified else wanted,
        protocol=port.get("protocol", "TCP").lower(),
        port=port["hostPort"],
        endpoints=(endpoint,),
        is_contested=True,
        serving=frozenset({(endpoint.address, endpoint.port)}),
    )


def _cluster_addresses(spec: Object) -> Iterator[tuple[str, int]]:
    for address in spec.get("clusterIPs") or [spec.get("clusterIP", "")]:
        if address and address != "None":
            yield address, 6 if ":" in address else 4


def _of_port(
    service: Object, port: Object, address: str, family: int, slices: list[Object], here: Here
) -> Iterator[Frontend]:
    spec = service["spec"]
    protocol = port.get("protocol", "TCP")
    own = [item for item in slices if _FAMILIES.get(item["addressType"]) == family]
    found = list(_endpoints(own, port.get("name", ""), protocol, here.node))
    everywhere = tuple(sorted({candidate.endpoint for candidate in _usable(_near(found, here), found)}))
    is_internal_local = spec.get("internalTrafficPolicy") == "Local"
    is_local = spec.get("externalTrafficPolicy") == "Local"
    nearby: tuple[Endpoint, ...] = ()
    if is_internal_local or is_local:
        local = [candidate for candidate in found if candidate.endpoint.is_local]
        nearby = tuple(sorted({candidate.endpoint for candidate in _usable(local, local)}))
    serving: frozenset[tuple[str, int]] = frozenset()
    if protocol != "TCP":
        serving = frozenset((one.endpoint.address, one.endpoint.port) for one in found if one.is_serving)
    sticky = _affinity_seconds(spec)
    yield Frontend(
        family=family,
        address=address,
        protocol=protocol.lower(),
        port=port["port"],
        endpoints=nearby if is_internal_local else everywhere,
        is_dropped=is_internal_local and bool(everywhere),
        affinity_seconds=sticky,
        serving=serving,
    )
    for outer, number, sources in _external(service, port, family, here):
        yield Frontend(
            family=family,
            address=outer,
            protocol=protocol.lower(),
            port=number,
            endpoints=everywhere,
            outside=nearby if is_local and everywhere else None,
            is_masqueraded=not is_local,
            sources=sources,
            affinity_seconds=sticky,
            is_contested=True,
            serving=serving,
        )


def _affinity_seconds(spec: Object) -> int:
    if spec.get("sessionAffinity") != "ClientIP":
        return 0
    seconds: int = dig(spec, "sessionAffinityConfig", "clientIP", "timeoutSeconds", default=_AFFINITY_SECONDS)
    return seconds


def _external(service: Object, port: Object, family: int, here: Here) -> Iterator[tuple[str, int, tuple[str, ...]]]:
    """(address, port, allowed sources) of all that callers outside may use."""
    spec = service["spec"]
    if here.external_ips:
        for address in _of_family(spec.get("externalIPs") or (), family):
            yield address, port["port"], ()
    ingress = dig(service, "status", "loadBalancer", "ingress", default=()) or ()
    addresses = [one["ip"] for one in ingress if one.get("ip") and one.get("ipMode", "VIP") == "VIP"]
    sources = _sources(spec, family)
    for address in _of_family(addresses, family):
        # a node that may call has the balancer's address itself where that is bound to a link of the node
        own = [ip_network(address)] if any(_holds(sources, node) for node in here.addresses) else []
        # overlapping networks are refused by the kernel
        yield address, port["port"], tuple(map(str, _collapse([*sources, *own])))
    if number := port.get("nodePort"):
        for address in _of_family(here.addresses, family):
            yield address, number, ()


def _of_family(addresses: Iterable[str], family: int) -> Iterator[str]:
    return (str(parsed) for parsed in map(ip_address, addresses) if parsed.version == family)


def _sources(spec: Object, family: int) -> list[Network]:
    """Whose calls a balancer's address takes; none where everybody's."""
    given = [ip_network(text.strip(), strict=False) for text in spec.get("loadBalancerSourceRanges") or ()]
    of_family = [network for network in given if network.version == family]
    if any(not network.prefixlen for network in of_family):
        return []
    return of_family


def _collapse(networks: list[Any]) -> Iterator[Network]:
    return collapse_addresses(networks)  # of one family: its type says it twice


def _holds(networks: list[Network], address: str) -> bool:
    return any(ip_address(address) in network for network in networks)


class _Candidate(NamedTuple):
    endpoint: Endpoint
    is_ready: bool
    is_serving: bool
    is_leaving: bool
    nodes: frozenset[str]
    """Hints: the nodes and the zones it is meant for."""
    zones: frozenset[str]


def _endpoints(slices: list[Object], name: str, protocol: str, node: str) -> Iterator[_Candidate]:
    for item in slices:
        number = _port_number(item, name, protocol)
        if number is None:
            continue
        for endpoint in item.get("endpoints") or ():
            conditions = endpoint.get("conditions") or {}
            hints = endpoint.get("hints") or {}
            yield _Candidate(
                # the first address alone has meaning, says the API
                Endpoint(endpoint["addresses"][0], number, endpoint.get("nodeName") == node),
                _is_ready(endpoint),
                conditions.get("serving") is not False,
                bool(conditions.get("terminating")),
                frozenset(hint["name"] for hint in hints.get("forNodes") or ()),
                frozenset(hint["name"] for hint in hints.get("forZones") or ()),
            )


def _is_ready(endpoint: Object) -> bool:
    ready = (endpoint.get("conditions") or {}).get("ready")
    return ready is None or bool(ready)


def _port_number(item: Object, name: str, protocol: str) -> int | None:
    for port in item.get("ports") or ():
        if (port.get("name") or "") == name and (port.get("protocol") or "TCP") == protocol:
            number: int | None = port.get("port")
            return number
    return None


def _near(found: list[_Candidate], here: Here) -> list[_Candidate]:
    """Those that hints mean for this node, else for its zone, where every ready endpoint has such a hint; else all."""
    ready = [candidate for candidate in found if candidate.is_ready]
    for hints_of, own in (("nodes", here.node), ("zones", here.zone)):
        hinted: list[frozenset[str]] = [getattr(candidate, hints_of) for candidate in ready]
        if all(hinted) and any(own in hints for hints in hinted):
            return [candidate for candidate, hints in zip(ready, hinted, strict=True) if own in hints]
    return found


def _usable(preferred: list[_Candidate], found: list[_Candidate]) -> list[_Candidate]:
    """Ready endpoints, or where there are none those that still serve while they terminate."""
    return [candidate for candidate in preferred if candidate.is_ready] or [
        candidate for candidate in found if candidate.is_serving and candidate.is_leaving
    ]
