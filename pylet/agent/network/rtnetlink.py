"""Links, addresses, routes, neighbours and forwarding entries over rtnetlink: what the pod network needs, no more.

What is listed and what is added are the same frozen values, so that a caller compares two sets and acts on the rest.
Sources: RFC 3549, linux/rtnetlink.h, linux/if_link.h, linux/neighbour.h.
"""

from __future__ import annotations

import ipaddress
import socket
import struct
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import TypeAlias

from pylet.agent import netlink
from pylet.agent.netlink import CREATE, EXCLUSIVE, REPLACE, Message, Subscription, attribute, attributes, nested

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
Interface: TypeAlias = ipaddress.IPv4Interface | ipaddress.IPv6Interface

PROTOCOL = 112
"""Marks the routes that are pylet's own (`ip route show proto 112`); unassigned in /etc/iproute2/rt_protos."""

_NEWLINK, _DELLINK, _GETLINK = 16, 17, 18
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22
_NEWROUTE, _DELROUTE, _GETROUTE = 24, 25, 26
_NEWNEIGH, _DELNEIGH, _GETNEIGH = 28, 29, 30
_GROUP_LINK, _GROUP_ADDRESS4, _GROUP_ROUTE4, _GROUP_ADDRESS6, _GROUP_ROUTE6 = 1, 5, 7, 9, 11

_UP, _LOOPBACK = 0x1, 0x8
_TABLE_MAIN, _UNICAST, _UNREACHABLE, _ON_LINK = 254, 1, 7, 4
_SCOPE_UNIVERSE, _SCOPE_LINK, _SCOPE_HOST = 0, 253, 254
_PERMANENT, _NOARP, _SELF, _NODAD = 0x80, 0x40, 0x2, 0x02
_BRIDGE_FAMILY = 7

_LINK = struct.Struct("=BxHiII")
_ADDRESS = struct.Struct("=BBBBI")
_ROUTE = struct.Struct("=BBBBBBBBI")
_NEIGHBOUR = struct.Struct("=BxxxiHBB")


@dataclass(frozen=True, slots=True)
class Vxlan:
    """A tunnel that learns nothing: only permanent entries say where a frame goes."""

    id: int
    port: int
    local: Address


@dataclass(frozen=True, slots=True)
class Link:
    index: int
    name: str
    kind: str
    """bridge, vxlan, veth …; "" for a physical one."""
    mtu: int
    mac: str
    is_up: bool
    vxlan: Vxlan | None = None


@dataclass(frozen=True, slots=True)
class Route:
    """A unicast route by `link` (an index), through `gateway` if given; without either it is an unreachable one."""

    to: Network
    link: int = 0
    gateway: Address | None = None
    on_link: bool = False
    """The gateway is reachable by the link though no route says so."""
    metric: int = 0


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A permanent answer to "who has `address`" on a link."""

    link: int
    address: Address
    mac: str


@dataclass(frozen=True, slots=True)
class Forward:
    """A permanent VXLAN forwarding entry: frames to `mac` go to the tunnel endpoint `remote`."""

    link: int
    mac: str
    remote: Address


class Rtnetlink:
    """Requests to the kernel's routing side. Every method raises NetlinkError where the kernel refuses."""

    def __init__(self) -> None:
        self._netlink = netlink.Netlink(netlink.ROUTE)

    def __enter__(self) -> Rtnetlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._netlink.close()

    def links(self) -> list[Link]:
        return [_link(message) for message in self._netlink.dump(_GETLINK, _LINK.pack(0, 0, 0, 0, 0))]

    def link(self, name: str) -> Link | None:
        return next((link for link in self.links() if link.name == name), None)

    def add_vxlan(self, name: str, tunnel: Vxlan, *, mtu: int, mac: str) -> None:
        data = nested(
            2,
            attribute(1, struct.pack("=I", tunnel.id)),
            attribute(4 if tunnel.local.version == 4 else 17, tunnel.local.packed),
            attribute(15, struct.pack(">H", tunnel.port)),
            attribute(7, b"\0"),
        )
        self._add_link(name, mtu, mac, nested(18, attribute(1, b"vxlan\0"), data))

    def add_wireguard(self, name: str, *, mtu: int) -> None:
        self._add_link(name, mtu, "", nested(18, attribute(1, b"wireguard\0")))

    def set_up(self, link: int) -> None:
        self._netlink.call(_NEWLINK, _LINK.pack(0, 0, link, _UP, _UP))

    def set_mtu(self, link: int, mtu: int) -> None:
        self._netlink.call(_NEWLINK, _LINK.pack(0, 0, link, 0, 0) + attribute(4, struct.pack("=I", mtu)))

    def delete_link(self, link: int) -> None:
        self._netlink.call(_DELLINK, _LINK.pack(0, 0, link, 0, 0))

    def addresses(self, link: int | None = None) -> dict[Interface, int]:
        """Addresses with their prefix, and the index of the link that has them."""
        found = {}
        for message in self._netlink.dump(_GETADDR, _ADDRESS.pack(0, 0, 0, 0, 0)):
            _, length, _, _, index = _ADDRESS.unpack_from(message.body)
            values = attributes(message.body, _ADDRESS.size)
            packed = values.get(2) or values.get(1)
            if packed and link in (None, index):
                found[ipaddress.ip_interface((packed, length))] = index
        return found

    def add_address(self, link: int, address: Interface) -> None:
        """Make sure that the link has this address."""
        family, packed = family_of(address), address.ip.packed
        scope = _SCOPE_UNIVERSE
        head = _ADDRESS.pack(family, address.network.prefixlen, _NODAD if address.version == 6 else 0, scope, link)
        self._netlink.call(_NEWADDR, head + attribute(2, packed) + attribute(1, packed), CREATE | REPLACE)

    def host_addresses(self, link: int, networks: Iterable[Network]) -> None:
        """Make sure that the link has the first address of each network, and nothing of the rest."""
        has = self.addresses(link)
        for network in networks:
            address = ipaddress.ip_interface(f"{network.network_address}/{network.max_prefixlen}")
            if address not in has:
                self.add_address(link, address)

    def delete_address(self, link: int, address: Interface) -> None:
        head = _ADDRESS.pack(family_of(address), address.network.prefixlen, 0, 0, link)
        self._netlink.call(_DELADDR, head + attribute(2, address.ip.packed))

    def routes(self) -> list[Route]:
        """pylet's own routes in the main table."""
        dumped = self._netlink.dump(_GETROUTE, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))
        return [route for message in dumped if (route := _own_route(message))]

    def put_route(self, route: Route) -> None:
        """Add the route, or make the one that is there for the same destination and metric this one."""
        self._netlink.call(_NEWROUTE, _route_body(route), CREATE | REPLACE)

    def delete_route(self, route: Route) -> None:
        self._netlink.call(_DELROUTE, _route_body(route))

    def neighbours(self, link: int) -> list[Neighbour]:
        return [
            Neighbour(index, ipaddress.ip_address(values[1]), _mac(values[2]))
            for family, index, state, values in self._neighbour_dump(0)
            if index == link and family != _BRIDGE_FAMILY and state & _PERMANENT and values.get(2)
        ]

    def put_neighbour(self, entry: Neighbour) -> None:
        body = _NEIGHBOUR.pack(family_of(entry.address), entry.link, _PERMANENT, 0, 0)
        values = attribute(1, entry.address.packed) + attribute(2, _bytes(entry.mac))
        self._netlink.call(_NEWNEIGH, body + values, CREATE | REPLACE)

    def delete_neighbour(self, entry: Neighbour) -> None:
        body = _NEIGHBOUR.pack(family_of(entry.address), entry.link, 0, 0, 0)
        self._netlink.call(_DELNEIGH, body + attribute(1, entry.address.packed))

    def forwards(self, link: int) -> list[Forward]:
        return [
            Forward(index, _mac(values[2]), ipaddress.ip_address(values[1]))
            for _, index, _, values in self._neighbour_dump(_BRIDGE_FAMILY)
            if index == link and 1 in values and 2 in values
        ]

    def put_forward(self, entry: Forward) -> None:
        self._netlink.call(_NEWNEIGH, _forward_body(entry), CREATE | REPLACE)

    def delete_forward(self, entry: Forward) -> None:
        self._netlink.call(_DELNEIGH, _forward_body(entry))

    def _add_link(self, name: str, mtu: int, mac: str, info: bytes) -> None:
        values = attribute(3, name.encode() + b"\0") + attribute(4, struct.pack("=I", mtu))
        if mac:
            values += attribute(1, _bytes(mac))
        self._netlink.call(_NEWLINK, _LINK.pack(0, 0, 0, _UP, _UP) + values + info, CREATE | EXCLUSIVE)

    def _neighbour_dump(self, family: int) -> list[tuple[int, int, int, dict[int, bytes]]]:
        found = []
        for message in self._netlink.dump(_GETNEIGH, _NEIGHBOUR.pack(family, 0, 0, 0, 0)):
            of, index, state, _, _ = _NEIGHBOUR.unpack_from(message.body)
            found.append((of, index, state, attributes(message.body, _NEIGHBOUR.size)))
        return found


def watch(heard: Callable[[Message | None], None]) -> Subscription:
    """Hear of changes to links, addresses and routes."""
    groups = (_GROUP_LINK, _GROUP_ADDRESS4, _GROUP_ROUTE4, _GROUP_ADDRESS6, _GROUP_ROUTE6)
    return Subscription(netlink.ROUTE, groups, heard)


def is_own_route(message: Message) -> bool:
    """Whether an event is about a route that carries pylet's mark."""
    return message.kind in (_NEWROUTE, _DELROUTE) and _ROUTE.unpack_from(message.body)[5] == PROTOCOL


def is_about_link(message: Message, links: Container[int]) -> bool:
    """Whether an event is about the state or addresses of one of these links: routes go down without events."""
    kinds = (_NEWLINK, _DELLINK, _NEWADDR, _DELADDR)
    return message.kind in kinds and struct.unpack_from("=i", message.body, 4)[0] in links


def is_about_addresses(message: Message) -> bool:
    """Whether an event may change which address is this machine's: one came or went, or any route did."""
    return message.kind in (_NEWADDR, _DELADDR, _NEWROUTE, _DELROUTE)


def _link(message: Message) -> Link:
    _, _, index, flags, _ = _LINK.unpack_from(message.body)
    values = attributes(message.body, _LINK.size)
    info = attributes(values.get(18, b""))
    kind = info.get(1, b"").rstrip(b"\0").decode()
    return Link(
        index,
        values[3].rstrip(b"\0").decode(),
        kind,
        int(struct.unpack("=I", values[4])[0]),
        _mac(values.get(1, b"")),
        bool(flags & _UP),
        _vxlan(attributes(info.get(2, b""))) if kind == "vxlan" else None,
    )


def _vxlan(values: dict[int, bytes]) -> Vxlan | None:
    local = values.get(4) or values.get(17)
    if local is None or values.get(7, b"\1") != b"\0":
        return None  # not one that pylet made
    return Vxlan(struct.unpack("=I", values[1])[0], struct.unpack(">H", values[15])[0], ipaddress.ip_address(local))


def _own_route(message: Message) -> Route | None:
    _, length, _, _, table, protocol, _, kind, flags = _ROUTE.unpack_from(message.body)
    values = attributes(message.body, _ROUTE.size)
    if protocol != PROTOCOL or table != _TABLE_MAIN:
        return None
    family = message.body[0]
    to = ipaddress.ip_network((values.get(1, bytes(4 if family == socket.AF_INET else 16)), length))
    metric = struct.unpack("=I", values[6])[0] if 6 in values else 0
    if kind != _UNICAST:
        return Route(to, metric=metric)
    gateway = ipaddress.ip_address(values[5]) if 5 in values else None
    link = struct.unpack("=I", values[4])[0] if 4 in values else 0
    return Route(to, link, gateway, bool(flags & _ON_LINK), metric)


def _route_body(route: Route) -> bytes:
    kind = _UNICAST if route.link or route.gateway else _UNREACHABLE
    scope = _SCOPE_LINK if kind == _UNICAST and route.gateway is None and route.to.version == 4 else _SCOPE_UNIVERSE
    flags = _ON_LINK if route.on_link else 0
    head = _ROUTE.pack(
        socket.AF_INET if route.to.version == 4 else socket.AF_INET6,
        route.to.prefixlen, 0, 0, _TABLE_MAIN, PROTOCOL, scope, kind, flags,
    )  # fmt: skip
    body = head + attribute(1, route.to.network_address.packed)
    if route.gateway is not None:
        body += attribute(5, route.gateway.packed)
    if route.link:
        body += attribute(4, struct.pack("=I", route.link))
    if route.metric:
        body += attribute(6, struct.pack("=I", route.metric))
    return body


def _forward_body(entry: Forward) -> bytes:
    head = _NEIGHBOUR.pack(_BRIDGE_FAMILY, entry.link, _PERMANENT | _NOARP, _SELF, 0)
    return head + attribute(2, _bytes(entry.mac)) + attribute(1, entry.remote.packed)


def family_of(address: Address | Interface) -> int:
    return int(socket.AF_INET if address.version == 4 else socket.AF_INET6)


def _mac(packed: bytes) -> str:
    return packed.hex(":")


def _bytes(mac: str) -> bytes:
    return bytes.fromhex(mac.replace(":", ""))
