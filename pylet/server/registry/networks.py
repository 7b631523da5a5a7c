"""The ranges that Services' addresses come from: the configured ones and every ServiceCIDR that is ready.

An address is taken by the Service that has it, and by an IPAddress object that somebody else made. Those of Services
follow the Services (controllers.ipaddress), so they are not asked: an address is free the moment its Service is gone.
Source: pkg/registry/core/service/ipallocator/{cidrallocator,ipallocator}.go.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from ipaddress import ip_address, ip_network

from pylet.api.kinds.ipaddress import is_managed
from pylet.api.kinds.servicecidr import DEFAULT, is_usable
from pylet.api.object import Key
from pylet.client.view import Entry, Table
from pylet.server.registry.pools import Full, Pool, Refused, free, static_part, take


class Networks:
    """`configured` has one network for each IP family of the cluster, the default family's first."""

    def __init__(self, configured: Iterable[str], cidrs: Table | None, addresses: Table | None) -> None:
        self._configured = tuple(configured)
        self._cidrs = cidrs
        self.families = tuple(f"IPv{ip_network(cidr).version}" for cidr in self._configured)
        self._taken: dict[str, Counter[int]] = {"IPv4": Counter(), "IPv6": Counter()}
        if addresses is not None:
            for entry in addresses.entries.values():
                self._heard(None, entry)
            addresses.listen(self._heard)

    def choose(self, family: str) -> str:
        """A free address. Raises: Full."""
        for first, last, static in self._ranges(family):
            try:
                return str(_address(family, Pool(first, last, static, self._taken[family]).choose()))
            except Full:
                continue
        raise Full("range is full")

    def check(self, ip: str, *, dry_run: bool) -> None:
        """Raises: Refused, ValueError."""
        taken, number = self.place(ip)
        family = f"IPv{ip_address(ip).version}"
        if not any(first <= number <= last for first, last, _ in self._ranges(family)):
            if dry_run:
                valid = next(cidr for cidr in self._networks() if (":" in cidr) == (family == "IPv6"))
                raise Refused(f"the provided IP ({ip}) is not in the valid range. The range of valid IPs is {valid}")
            raise Refused("the provided network does not match the current range")
        if number in taken:
            raise Refused("provided IP is already allocated")

    def place(self, ip: str) -> tuple[Counter[int], int]:
        """Where it is counted, and as which number."""
        address = ip_address(ip)
        return self._taken[f"IPv{address.version}"], int(address)

    def of(self, ip: str) -> str:
        """The network that the address is of; "" where it is of none."""
        _, number = self.place(ip)
        family = ip_address(ip).version
        return next((c for c in self._of_family(f"IPv{family}") if _range(c)[0] <= number <= _range(c)[1]), "")

    def last(self, family: str) -> str:
        """The network that is asked when none before it had an address."""
        return (list(self._of_family(family)) or [""])[-1]

    def used(self) -> Iterator[tuple[str, int, int]]:
        """Of each network: how many of its addresses are taken, and how many are not."""
        for cidr in self._networks():
            first, last, _ = _range(cidr)
            taken = sum(first <= number <= last for number in self._taken["IPv6" if ":" in cidr else "IPv4"])
            yield cidr, taken, last - first + 1 - taken

    def _ranges(self, family: str) -> Iterator[tuple[int, int, int]]:
        yield from map(_range, self._of_family(family))

    def _of_family(self, family: str) -> Iterator[str]:
        return (cidr for cidr in self._networks() if (":" in cidr) == (family == "IPv6"))

    def _networks(self) -> dict[str, None]:
        """Each network once. Before the default ServiceCIDR is there, the configured networks count as ready."""
        entries = {} if self._cidrs is None else self._cidrs.entries
        usable = [] if Key("", DEFAULT) in entries else list(self._configured)
        for entry in entries.values():
            if is_usable(entry.object):
                usable += entry.object["spec"].get("cidrs") or ()
        return dict.fromkeys(usable)

    def _heard(self, before: Entry | None, after: Entry | None) -> None:
        if before is not None and not is_managed(before.labels):
            free(*self.place(before.key.name))
        if after is not None and not is_managed(after.labels):
            take(*self.place(after.key.name))


def _address(family: str, number: int) -> object:
    return ip_address(number if family == "IPv4" else number.to_bytes(16, "big"))


@lru_cache(64)
def _range(cidr: str) -> tuple[int, int, int]:
    """First, last, and how many of the first are for people to choose."""
    network = ip_network(cidr)
    first = int(network.network_address) + 1
    last = int(network.broadcast_address) - (network.version == 4)
    return first, max(first, min(last, first + (1 << 64))), static_part(network.num_addresses, 16, 256)
