"""How packets reach the pods of other nodes: what the kernel should hold for each backend. Pure.

host-gw: a route to each node's range by the node itself, which must share a link with us. vxlan: a tunnel whose
endpoints never learn; each node's endpoint has a MAC that follows from its range, so nothing has to be published.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from pylet.agent.network.rtnetlink import Forward, Neighbour, Route
from pylet.api.object import Object, dig

VXLAN_LINK = "pylet.vx"
VXLAN_ID = 1
VXLAN_PORT = 8472
VXLAN_BYTES = 50
"""What a tunnel takes of the MTU."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Another node: the range of its pods and the address it is reached by."""

    name: str
    pods: IPv4Network | IPv6Network
    address: IPv4Address | IPv6Address


@dataclass(frozen=True, slots=True)
class Wanted:
    routes: frozenset[Route] = frozenset()
    neighbours: frozenset[Neighbour] = frozenset()
    forwards: frozenset[Forward] = frozenset()


def peers(nodes: Iterable[Object], own_name: str) -> list[Peer]:
    """All other nodes that have a range and an address."""
    found = []
    for node in nodes:
        name, cidr = node["metadata"]["name"], node["spec"].get("podCIDR")
        known = dig(node, "status", "addresses", default=())
        address = next((entry["address"] for entry in known if entry["type"] == "InternalIP"), "")
        if name != own_name and cidr and address:
            found.append(Peer(name, ipaddress.ip_network(cidr), ipaddress.ip_address(address)))
    return found


def host_gw(others: Iterable[Peer], links: Mapping[IPv4Network | IPv6Network, int]) -> tuple[Wanted, list[Peer]]:
    """Routes by the link that reaches each peer (`links` by its network); and the peers no link reaches."""
    routes, unreachable = set(), []
    for peer in others:
        link = next((index for network, index in links.items() if peer.address in network), None)
        if link is None:
            unreachable.append(peer)
        else:
            routes.add(Route(peer.pods, link, peer.address))
    return Wanted(frozenset(routes)), unreachable


def vxlan(others: Iterable[Peer], link: int) -> Wanted:
    routes, neighbours, forwards = set(), set(), set()
    for peer in others:
        endpoint, mac = peer.pods.network_address, mac_of(peer.pods)
        routes.add(Route(peer.pods, link, endpoint, on_link=True))
        neighbours.add(Neighbour(link, endpoint, mac))
        forwards.add(Forward(link, mac, peer.address))
    return Wanted(frozenset(routes), frozenset(neighbours), frozenset(forwards))


def service_routes(cidrs: Iterable[str], uplink: int) -> frozenset[Route]:
    """Somewhere to go for service addresses: a node without a default route could not even begin to call one.

    No packet takes these routes: the proxy translates or refuses each of them first.
    """
    networks = [ipaddress.ip_network(cidr) for cidr in cidrs]
    return frozenset(Route(network, uplink, metric=1024 if network.version == 6 else 0) for network in networks)


def mac_of(pods: IPv4Network | IPv6Network) -> str:
    """A locally administered MAC for the tunnel endpoint of the node with that range."""
    low = int(pods.network_address) & 0xFFFFFFFF
    return "0a:58:" + ":".join(f"{byte:02x}" for byte in low.to_bytes(4, "big"))
