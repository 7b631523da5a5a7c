"""Addresses and networks as the API accepts them. Source: apimachinery pkg/util/validation/ip.go."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

from pylet.api.names import Problems

_NO_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)"
_NO_NETWORK = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)"


def problems_of(text: str) -> Problems:
    try:
        ip_address(text)
    except ValueError:
        return (_NO_ADDRESS,)
    return ()


def network_problems_of(text: str) -> Problems:
    try:
        ip_network(text, strict=False)
    except ValueError:
        return (_NO_NETWORK,)
    return () if "/" in text else (_NO_NETWORK,)
