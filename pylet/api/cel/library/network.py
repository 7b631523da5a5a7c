"""IP addresses and CIDRs: Kubernetes' library/ip.go and cidr.go, over what Go's net/netip takes."""

from __future__ import annotations

import ipaddress
import math
from dataclasses import dataclass
from typing import ClassVar

from pylet.api.cel.errors import EvaluationError
from pylet.api.cel.functions import Functions, declare, traverse
from pylet.api.cel.types import Type, opaque
from pylet.api.cel.values import size_of

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Ip:
    CEL_TYPE: ClassVar[Type] = opaque("net.IP")
    address: Address

    def __str__(self) -> str:
        return str(self.address)


@dataclass(frozen=True, slots=True)
class Cidr:
    """`address` keeps its host bits; `network` is what it lies in."""

    CEL_TYPE: ClassVar[Type] = opaque("net.CIDR")
    address: Address
    network: Network

    def __str__(self) -> str:
        return f"{self.address}/{self.network.prefixlen}"


def _problem(text: str) -> str:
    return f'ParseAddr("{text}"): unable to parse IP'


def _ip(text: str) -> Ip:
    try:
        address = ipaddress.ip_address(text)
    except ValueError as bad:
        raise EvaluationError(
            f'IP Address "{text}" parse error during conversion from string: {_problem(text)}'
        ) from bad
    if "%" in text:
        raise EvaluationError(f'IP address "{text}" with zone value is not allowed')
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        raise EvaluationError(f'IPv4-mapped IPv6 address "{text}" is not allowed')
    return Ip(address)


def _cidr(text: str) -> Cidr:
    prefix = "network address parse error during conversion from string: "
    address, slash, length = text.rpartition("/")
    try:
        if not slash:
            raise ValueError(f"netip.ParsePrefix(\"{text}\"): no '/'")
        if "%" in address:
            raise ValueError(f'netip.ParsePrefix("{text}"): IPv6 zones cannot be present in a prefix')
        if not (length.isascii() and length.isdigit()) or (len(length) > 1 and length[0] == "0"):
            raise ValueError(f'netip.ParsePrefix("{text}"): bad bits after slash: "{length}"')
        base = ipaddress.ip_address(address)
        if int(length[:9]) > base.max_prefixlen:
            raise ValueError(f'netip.ParsePrefix("{text}"): prefix length out of range')
    except ValueError as bad:
        raise EvaluationError(f"{prefix}{prefix}{bad}") from bad
    if isinstance(base, ipaddress.IPv6Address) and base.ipv4_mapped:
        raise EvaluationError(f'{prefix}IPv4-mapped IPv6 address "{text}" is not allowed')
    return Cidr(base, ipaddress.ip_network(f"{base}/{length}", strict=False))


def _is_ip(text: str) -> bool:
    try:
        _ip(text)
    except EvaluationError:
        return False
    return True


def _is_cidr(text: str) -> bool:
    try:
        _cidr(text)
    except EvaluationError:
        return False
    return True


def _contains_ip(cidr: Cidr, ip: Ip) -> bool:
    return ip.address.version == cidr.network.version and ip.address in cidr.network


def _contains_cidr(cidr: Cidr, other: Cidr) -> bool:
    one, two = cidr.network, other.network
    if isinstance(one, ipaddress.IPv4Network):
        return isinstance(two, ipaddress.IPv4Network) and two.subnet_of(one)
    return isinstance(two, ipaddress.IPv6Network) and two.subnet_of(one)


def _is_global_unicast(ip: Ip) -> bool:
    """Go's sense: private addresses are, too."""
    address = ip.address
    broadcast = str(address) == "255.255.255.255"
    return not (
        address.is_unspecified or address.is_loopback or address.is_multicast or address.is_link_local or broadcast
    )


def _is_link_local_multicast(ip: Ip) -> bool:
    if ip.address.version == 4:
        return ip.address in ipaddress.ip_network("224.0.0.0/24")
    return ip.address.packed[0] == 0xFF and ip.address.packed[1] & 0x0F == 2


def _bytes_of(cidr: Cidr) -> int:
    return math.ceil(cidr.network.prefixlen / 8)


def _contains_ip_cost(cidr: Cidr, other: object) -> int:
    cost = math.ceil(2 * _bytes_of(cidr) * 0.1)
    return cost + (math.ceil(size_of(other) * 0.1) if isinstance(other, str) else 0)


def _contains_cidr_cost(cidr: Cidr, other: object) -> int:
    return _contains_ip_cost(cidr, other) + math.ceil(_bytes_of(cidr) * 0.1) + 1


def declare_library(functions: Functions) -> None:
    once = traverse(0.1)
    declare(functions, "ip(string): net.IP", _ip, once)
    declare(functions, "isIP(string): bool", _is_ip, once)
    declare(functions, "ip.isCanonical(string): bool", lambda text: str(_ip(text)) == text, traverse(0.2))
    declare(functions, "string(net.IP): string", str)
    declare(functions, "net.IP -> family(): int", lambda ip: ip.address.version)
    declare(functions, "net.IP -> isUnspecified(): bool", lambda ip: ip.address.is_unspecified)
    declare(functions, "net.IP -> isLoopback(): bool", lambda ip: ip.address.is_loopback)
    declare(functions, "net.IP -> isLinkLocalMulticast(): bool", _is_link_local_multicast)
    declare(functions, "net.IP -> isLinkLocalUnicast(): bool", lambda ip: ip.address.is_link_local)
    declare(functions, "net.IP -> isGlobalUnicast(): bool", _is_global_unicast)
    declare(functions, "cidr(string): net.CIDR", _cidr, once)
    declare(functions, "isCIDR(string): bool", _is_cidr, once)
    declare(functions, "string(net.CIDR): string", str)
    declare(
        functions, "net.CIDR -> containsIP(string): bool", lambda one, ip: _contains_ip(one, _ip(ip)), _contains_ip_cost
    )
    declare(functions, "net.CIDR -> containsIP(net.IP): bool", _contains_ip, _contains_ip_cost)
    declare(
        functions,
        "net.CIDR -> containsCIDR(string): bool",
        lambda one, other: _contains_cidr(one, _cidr(other)),
        _contains_cidr_cost,
    )
    declare(functions, "net.CIDR -> containsCIDR(net.CIDR): bool", _contains_cidr, _contains_cidr_cost)
    declare(functions, "net.CIDR -> ip(): net.IP", lambda cidr: Ip(cidr.address))
    declare(functions, "net.CIDR -> prefixLength(): int", lambda cidr: cidr.network.prefixlen)
    declare(functions, "net.CIDR -> masked(): net.CIDR", lambda cidr: Cidr(cidr.network.network_address, cidr.network))
