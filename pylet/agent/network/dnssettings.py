"""What people tell the cluster's resolver: the ConfigMap `kube-system/pylet-dns`. Pure.

`stubDomains`: JSON, `{"acme.example": ["192.0.2.53", "192.0.2.54:5353"]}`: who is asked for a domain's names.
`upstreamNameservers`: JSON, `["192.0.2.53"]`: who is asked for all others, instead of the nodes' own resolvers.
`hosts`: lines as in /etc/hosts, `192.0.2.80 www.acme.example acme.example`: names answered here, before all others.
The first two are what kube-dns called them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, NamedTuple, TypeVar

from pylet.api.object import Key

KEY = Key("kube-system", "pylet-dns")
_LONGEST_LABEL = 63  # RFC 1035

T = TypeVar("T")


class Resolver(NamedTuple):
    address: str
    port: int = 53


@dataclass(frozen=True, slots=True)
class DnsSettings:
    """Names are lower case without the final dot. `upstreams` are empty where the node's own resolvers are asked."""

    hosts: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    names: Mapping[str, str] = field(default_factory=dict)
    """The first name of each address in `hosts`."""
    stubs: Mapping[str, tuple[Resolver, ...]] = field(default_factory=dict)
    upstreams: tuple[Resolver, ...] = ()

    def stub_for(self, name: str) -> tuple[Resolver, ...]:
        """Who knows this name: the longest domain it is in decides."""
        while self.stubs and name:
            if name in self.stubs:
                return self.stubs[name]
            name = name.partition(".")[2]
        return ()


def parse(data: Mapping[str, str]) -> tuple[DnsSettings, list[str]]:
    """The settings, and what is wrong with the rest: one mistake does not take the others' names away."""
    problems: list[str] = []
    hosts, names = _hosts(data.get("hosts", ""), problems)
    return DnsSettings(
        hosts,
        names,
        _json(data, "stubDomains", _stubs, {}, problems),
        _json(data, "upstreamNameservers", _resolvers, (), problems),
    ), problems


def resolver(text: str) -> Resolver:
    """Raises: ValueError."""
    host, colon, port = text.rpartition(":")
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        return Resolver(str(ip_address(host)), _port(rest[1:]) if rest else 53)
    if colon and ":" not in host:
        return Resolver(str(ip_address(host)), _port(port))
    return Resolver(str(ip_address(text)))


def _port(text: str) -> int:
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise ValueError(f"{text!r} is not a port")
    return int(text)


def _stubs(value: Any) -> dict[str, tuple[Resolver, ...]]:
    return {domain.strip(".").lower(): _resolvers(resolvers) for domain, resolvers in value.items()}


def _resolvers(value: Any) -> tuple[Resolver, ...]:
    return tuple(map(resolver, value))


def _hosts(text: str, problems: list[str]) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    hosts: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words:
            continue
        try:
            address = str(ip_address(words[0]))
        except ValueError:
            problems.append(f"hosts: {words[0]!r} is not an IP address")
            continue
        for word in words[1:]:
            name = word.strip(".").lower()
            if not all(0 < len(label) <= _LONGEST_LABEL for label in name.split(".")):
                problems.append(f"hosts: {word!r} is not a name")
                continue
            hosts[name] = (*hosts.get(name, ()), address)
            names.setdefault(address, name)
    return hosts, names


def _json(data: Mapping[str, str], key: str, read: Callable[[Any], T], default: T, problems: list[str]) -> T:
    if not data.get(key):
        return default
    try:
        return read(json.loads(data[key]))
    except (ValueError, TypeError, AttributeError) as bad:
        problems.append(f"{key}: {bad}")
        return default
