"""Which addresses are this node's own, one of a family, and when they stop being that."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from ipaddress import ip_address

from pylet.agent.netlink import Message
from pylet.agent.network import rtnetlink
from pylet.agent.network.rtnetlink import Rtnetlink
from pylet.aio.clock import Clock

_ELSEWHERE = {4: "192.0.2.1", 6: "2001:db8::1"}  # of RFC 5737 and RFC 3849: no machine has them
_SETTLE_SECONDS = 1.0


class NoAddress(OSError):
    """No route leads to where the node's address would be seen; the message says what to do."""


class Moved(Exception):
    """The node's addresses are others than they were."""


def find(server_host: str, port: int, families: Sequence[int]) -> tuple[str, ...]:
    """The addresses this machine reaches the server from; beside the server, those of its default routes.

    A family the machine has no way out in is left out, unless it is the first. Raises: NoAddress.
    """
    found = []
    for family in families:
        try:
            found.append(_towards(server_host, port, family))
        except OSError as failed:
            if family == families[0]:
                raise NoAddress(f"cannot find this node's IPv{family} address: {failed}; give --node-ip") from failed
    return tuple(found)


async def until_moved(addresses: Sequence[str], server_host: str, port: int, clock: Clock) -> None:
    """Waits until an address is gone from this machine and there is another instead. Raises: Moved, then."""
    families = [ip_address(address).version for address in addresses]
    changed = asyncio.Event()

    def heard(message: Message | None) -> None:
        if message is None or rtnetlink.is_about_addresses(message):
            changed.set()

    with rtnetlink.watch(heard):
        while True:
            if not _has(addresses):
                try:
                    if find(server_host, port, families) != tuple(addresses):
                        raise Moved
                except NoAddress:
                    pass  # no way out yet: the new address will be heard of
            await changed.wait()
            await clock.sleep(_SETTLE_SECONDS)  # a lease that changes is several events
            changed.clear()


def _has(addresses: Sequence[str]) -> bool:
    with Rtnetlink() as kernel:
        return {ip_address(address) for address in addresses} <= {address.ip for address in kernel.addresses()}


def _towards(host: str, port: int, family: int) -> str:
    if _is_beside(host) or (_is_literal(host) and ip_address(host).version != family):
        host = _ELSEWHERE[family]
    kind = socket.AF_INET if family == 4 else socket.AF_INET6
    try:
        return _seen_from(host, port, kind)
    except socket.gaierror:  # a name without an address of this family
        return _seen_from(_ELSEWHERE[family], port, kind)


def _seen_from(host: str, port: int, kind: socket.AddressFamily) -> str:
    with socket.socket(kind, socket.SOCK_DGRAM) as probe:
        probe.connect((host, port))  # sends nothing: it only asks the routing table
        address: str = probe.getsockname()[0]
    if ip_address(address).is_link_local:
        raise OSError("there is a link-local address alone")
    return address


def _is_beside(host: str) -> bool:
    return host == "localhost" or (_is_literal(host) and ip_address(host).is_loopback)


def _is_literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
