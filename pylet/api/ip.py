"""Addresses and networks as the API accepts them. Source: apimachinery pkg/util/validation/ip.go."""

from __future__ import annotations

import re
from ipaddress import IPv6Address, ip_address, ip_network

from pylet.api.names import Problems

_NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_NETWORK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"
_IPV4 = (1 << 32) - 1
_LEADING = re.compile(r"(?<![0-9a-fA-F:])0+(?=[0-9])")


def problems_of(text: str) -> Problems:
    """What is wrong with an address that need not be written canonically."""
    try:
        address = ip_address(text)
    except ValueError:
        return ("must not have leading 0s",) if _is_address(_LEADING.sub("", text)) else (_NO_ADDRESS,)
    if "%" in text:
        return (_NO_ADDRESS,)
    return ("must not be an IPv4-mapped IPv6 address",) if _is_mapped(address) else ()


def canonical_problems_of(text: str) -> Problems:
    """What is wrong with an address in a field of the newer kind, which takes one spelling only."""
    found = problems_of(text)
    if found or str(ip_address(text)) == text:
        return found
    return (f'must be in canonical form ("{ip_address(text)}")',)


def in_url(host: str) -> str:
    """A host as it stands before a port."""
    return f"[{host}]" if ":" in host else host


def endpoint_problems_of(text: str) -> Problems:
    """Why a valid address cannot be a Service's endpoint; source: core validation ValidateEndpointIP."""
    address = ip_address(text)
    if address.is_unspecified:
        return (f"may not be unspecified ({text})",)
    if address.is_loopback:
        return ("may not be in the loopback range (127.0.0.0/8, ::1/128)",)
    if address.is_link_local:
        return ("may not be in the link-local range (169.254.0.0/16, fe80::/10)",)
    if text.startswith("224.0.0.") or text.lower().startswith("ff02:"):
        return ("may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)",)
    return ()


def network_problems_of(text: str) -> Problems:
    """What is wrong with a network that need not be written canonically."""
    base, slash, length = text.partition("/")
    if not slash or not length.isascii() or not length.isdigit() or not is_network(text):
        return ("must not have leading 0s in IP or prefix length",) if _has_zeros(base, length) else (_NO_NETWORK,)
    if len(length) > 1 and length[0] == "0":
        return ("must not have leading 0s in IP or prefix length",)
    address = ip_address(base)
    if _is_mapped(address):
        return ("must not have an IPv4-mapped IPv6 address",)
    beyond = address != ip_network(text, strict=False).network_address
    return ("must not have bits set beyond the prefix length",) if beyond else ()


def canonical_network_problems_of(text: str) -> Problems:
    found = network_problems_of(text)
    if found or str(ip_network(text, strict=False)) == text:
        return found
    return (f'must be in canonical form ("{ip_network(text, strict=False)}")',)


def is_network(text: str) -> bool:
    """Whether it can be read as a network at all, bits beyond its prefix or not."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "%" not in text


def parsed(text: str) -> tuple[int, int, int, int] | None:
    """A network's IP version, first and last address and bits of its prefix, read as leniently as Go's
    `ParseCIDRSloppy`; None for what is none. An IPv4 address within IPv6 counts as IPv4."""
    base, slash, length = _LEADING.sub("", text.partition("/")[0]), *text.partition("/")[1:]
    if not slash or not is_network(plain := f"{base}/{length.lstrip('0') or '0'}"):
        return None
    network = ip_network(plain, strict=False)
    first, last = int(network.network_address), int(network.broadcast_address)
    if _is_mapped(network.network_address):
        return 4, first & _IPV4, last & _IPV4, network.prefixlen
    return network.version, first, last, network.prefixlen


def address_warnings(field: str, text: str) -> list[str]:
    """Texts about an address that is written oddly; source: GetWarningsForIP."""
    plain = _LEADING.sub("", text)
    if not text or "%" in text or not _is_address(plain):
        return []
    address = ip_address(plain)
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return [f'{field}: non-standard IP address "{text}" is invalid: use "{address.ipv4_mapped}"']
        if str(address) != text:
            return [f'{field}: IPv6 address "{text}" should be in RFC 5952 canonical format ("{address}")']
    elif plain != text:
        return [f'{field}: non-standard IP address "{text}" is invalid: use "{plain}"']
    return []


def network_warnings(field: str, text: str) -> list[str]:
    """Texts about a network that may not mean what it says; source: GetWarningsForCIDR."""
    if not is_network(text):
        return []
    network, base = ip_network(text, strict=False), ip_address(text.partition("/")[0])
    if base != network.network_address:
        single = f"{base}/{network.max_prefixlen}"
        return [f'{field}: CIDR value "{text}" is ambiguous in this context (should be "{network}" or "{single}"?)']
    if network.version == 6 and str(network) != text:
        return [f'{field}: IPv6 CIDR value "{text}" should be in RFC 5952 canonical format ("{network}")']
    return []


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def _has_zeros(base: str, length: str) -> bool:
    return is_network(f"{_LEADING.sub('', base)}/{length}")


def _is_mapped(address: object) -> bool:
    return isinstance(address, IPv6Address) and address.ipv4_mapped is not None
