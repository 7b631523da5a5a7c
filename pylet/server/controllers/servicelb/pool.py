"""Which address of the pool is whose. Pure: all is decided anew each time, and comes out the same for every Service.

Whoever has an address keeps it; then those who ask for one by name are served, then the rest, older Services first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import NamedTuple, TypeAlias

from pylet.api.object import Key, Object, annotations_of, dig, key_of

Address: TypeAlias = IPv4Address | IPv6Address

ASKED = "pylet.io/load-balancer-ips"
"""Annotation: the addresses a Service asks for, one of a family, a comma between two; or `spec.loadBalancerIP`."""
_VERSIONS = {"IPv4": 4, "IPv6": 6}


class Range(NamedTuple):
    """`version` is 4 or 6; both ends are in it."""

    version: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Pool:
    """`mistakes` are the words that could not be read."""

    ranges: tuple[Range, ...] = ()
    mistakes: tuple[str, ...] = ()

    def __contains__(self, address: Address) -> bool:
        return any(one.version == address.version and one.first <= int(address) <= one.last for one in self.ranges)

    def of_family(self, version: int) -> Iterator[Address]:
        make = IPv4Address if version == 4 else IPv6Address
        for one in self.ranges:
            if one.version == version:
                yield from map(make, range(one.first, one.last + 1))


def parse(text: str) -> Pool:
    """Networks and `first-last` ranges, with spaces, commas or line ends between."""
    ranges, mistakes = [], []
    for word in text.replace(",", " ").split():
        try:
            ranges.append(_range(word))
        except ValueError:
            mistakes.append(word)
    return Pool(tuple(ranges), tuple(mistakes))


def _range(word: str) -> Range:
    """Raises: ValueError."""
    first, dash, last = word.partition("-")
    if not dash:
        network = ip_network(word, strict=False)
        margin = 0 if network.prefixlen >= network.max_prefixlen - 1 else 1  # its ends mean all, or any router
        return Range(network.version, int(network[0]) + margin, int(network[-1]) - margin)
    start, end = ip_address(first), ip_address(last)
    if start.version != end.version or int(start) > int(end):
        raise ValueError(word)
    return Range(start.version, int(start), int(end))


@dataclass(frozen=True, slots=True)
class Share:
    """What a Service gets; `problem` says why it does not get all it should have."""

    addresses: tuple[str, ...] = ()
    problem: str = ""


class _Claimant:
    def __init__(self, service: Object) -> None:
        self.key = key_of(service)
        self.families = [_VERSIONS[family] for family in service["spec"].get("ipFamilies") or ("IPv4",)]
        self.had = tuple(_has(service))
        self.asked, unreadable = _asked(service)
        self.given: dict[int, Address] = {}
        self.problem = f"{unreadable!r} is no address" if unreadable else ""

    def share(self, hint: str) -> Share:
        addresses = (str(self.given[version]) for version in self.families if version in self.given)
        return Share(tuple(addresses), f"{self.problem}{hint}" if self.problem else "")


_Owners: TypeAlias = dict[Address, _Claimant]


def share(pool: Pool, services: Iterable[Object]) -> dict[Key, Share]:
    """`services`, oldest first, are all that live from the pool."""
    claimants = [_Claimant(service) for service in services]
    owners: _Owners = {}
    for give in (_what_it_had, _what_it_names, _what_is_free):
        for claimant in claimants:
            for address in give(claimant, pool, owners):
                owners[address], claimant.given[address.version] = claimant, address
    hint = f"; the pool cannot be read at {', '.join(pool.mistakes)}" if pool.mistakes else ""
    return {claimant.key: claimant.share(hint) for claimant in claimants}


def _what_it_had(claimant: _Claimant, pool: Pool, owners: _Owners) -> Iterator[Address]:
    named = {address.version: address for address in claimant.asked}
    for address in claimant.had:
        fits = address.version in claimant.families and named.get(address.version, address) == address
        if fits and address in pool and address not in owners and address.version not in claimant.given:
            yield address


def _what_it_names(claimant: _Claimant, pool: Pool, owners: _Owners) -> Iterator[Address]:
    for address in claimant.asked:
        owner = owners.get(address, claimant)
        if address.version not in claimant.families or address not in pool:
            claimant.problem = f"{address} is not of the pool, or not of the Service's IP families"
        elif owner is not claimant:
            claimant.problem = f"{address} is in use by Service {owner.key}"
        else:
            yield address


def _what_is_free(claimant: _Claimant, pool: Pool, owners: _Owners) -> Iterator[Address]:
    covered = [version for version in claimant.families if next(pool.of_family(version), None) is not None]
    if not covered:
        claimant.problem = "the pool has no address of the Service's IP families"
    for version in covered:
        if version in claimant.given or claimant.problem:
            continue
        free = next((address for address in pool.of_family(version) if address not in owners), None)
        if free is None:
            claimant.problem = f"all IPv{version} addresses of the pool are in use"
        else:
            yield free


def _asked(service: Object) -> tuple[list[Address], str]:
    """The addresses, and the first word that is none."""
    text = annotations_of(service).get(ASKED) or service["spec"].get("loadBalancerIP") or ""
    found: list[Address] = []
    for word in text.replace(",", " ").split():
        try:
            found.append(ip_address(word))
        except ValueError:
            return found, word
    return found, ""


def _has(service: Object) -> Iterator[Address]:
    for entry in dig(service, "status", "loadBalancer", "ingress", default=()) or ():
        if entry.get("ip"):
            yield ip_address(entry["ip"])
