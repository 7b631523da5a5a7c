"""How packets reach the pods of other nodes: what the kernel should hold for each backend. Pure.

host-gw: a route to each node's range by the node itself, which must share a link with us. vxlan: a tunnel whose
endpoints never learn; each node's endpoint has a MAC that follows from its range, so nothing has to be published.
wireguard has a file of its own.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pylet.agent.network.rtnetlink import Address, Forward, Neighbour, Network, Route
from pylet.api.object import Object, dig

VXLAN_LINK = "pylet.vx"
WIREGUARD_LINKS = ("pylet.wg0", "pylet.wg1")
LINKS = (VXLAN_LINK, *WIREGUARD_LINKS)
VXLAN_ID = 1
VXLAN_PORT = 8472
VXLAN_BYTES = {4: 50, 6: 70}
"""What a tunnel over that family takes of the MTU."""
WIREGUARD_BYTES = {4: 60, 6: 80}


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: the ranges of its pods, one a family, and the addresses it is reached by."""

    name: str
    pods: tuple[Network, ...]
    addresses: tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Wanted:
    """`unreachable` are the names of the peers that the backend has no way to."""

    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    forwards: frozenset[Forward] = frozenset()
    unreachable: frozenset[str] = frozenset()


def ranges(node: Object) -> tuple[Network, ...]:
    """The ranges of the node's pods, the default family's first; none before it has been given any."""
    spec = node["spec"]
    cidrs = spec.get("podCIDRs") or ([spec["podCIDR"]] if spec.get("podCIDR") else [])
    return tuple(map(ipaddress.ip_network, cidrs))


def peers(nodes: Iterable[Object], own_name: str) -> list[Peer]:
    """All other nodes that have ranges and addresses."""
    found = []
    for node in nodes:
        name, pods = node["metadata"]["name"], ranges(node)
        known = dig(node, "status", "addresses", default=()) or ()
        addresses = [ipaddress.ip_address(entry["address"]) for entry in known if entry["type"] == "InternalIP"]
        if name != own_name and pods and addresses:
            found.append(Peer(name, pods, tuple(addresses)))
    return found


def host_gw(others: Iterable[Peer], links: Mapping[Network, int]) -> Wanted:
    """Routes by the link that reaches each peer (`links` by their networks), in each family."""
    routes, unreachable = set(), set()
    for peer in others:
        for pods in peer.pods:
            gateway = address_of(peer, pods.version)
            link = next((index for network, index in links.items() if gateway is not None and gateway in network), None)
            if link is None:
                unreachable.add(peer.name)
            else:
                routes.add(Route(pods, link, gateway, metric=metric(pods)))
    return Wanted(frozenset(routes), unreachable=frozenset(unreachable))


def vxlan(others: Iterable[Peer], link: int, family: int) -> Wanted:
    """`family` is that of the tunnel's own address; what is inside may be of either."""
    routes, neighbours, forwards, unreachable = set(), set(), set(), set()
    for peer in others:
        remote, mac = address_of(peer, family), mac_of(peer.pods[0])
        if remote is None:
            unreachable.add(peer.name)
            continue
        forwards.add(Forward(link, mac, remote))
        for pods in peer.pods:
            endpoint = pods.network_address
            routes.add(Route(pods, link, endpoint, on_link=True, metric=metric(pods)))
            neighbours.add(Neighbour(link, endpoint, mac))
    return Wanted(frozenset(routes), frozenset(neighbours), frozenset(forwards), frozenset(unreachable))


def service_routes(cidrs: Iterable[str], uplinks: Mapping[int, int]) -> frozenset[Route]:
    """Somewhere to go for service addresses: a node without a default route could not even begin to call one.

    No packet takes these routes: the proxy translates or refuses each of them first. `uplinks` are links by family.
    """
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    return frozenset(
        Route(network, uplinks[network.version], metric=metric(network))
        for network in networks
        if network.version in uplinks
    )


def mac_of(pods: Network) -> str:
    """A locally administered MAC for the tunnel endpoint of the node with that range."""
    # IPv4 ranges by all of their address; of an IPv6 one the bits that tell it from the next node's.
    shift = 0 if pods.version == 4 else 128 - pods.prefixlen
    low = (int(pods.network_address) >> shift) & 0xFFFFFFFF
    return "0a:58:" + ":".join(f"{byte:02x}" for byte in low.to_bytes(4, "big"))


def metric(network: Network) -> int:
    return 1024 if network.version == 6 else 0  # what the kernel makes of none, and says


def address_of(peer: Peer, family: int) -> Address | None:
    return next((address for address in peer.addresses if address.version == family), None)
