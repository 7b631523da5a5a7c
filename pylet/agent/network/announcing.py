"""Answers for the addresses that LoadBalancers have of the pool, where this node is the one that does.

Every node decides alone, from what all see: among the nodes that may serve (with `externalTrafficPolicy: Local`, those
that have endpoints) the address itself chooses one. What comes for it there, the proxy leads on.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from typing import TYPE_CHECKING, NamedTuple

from pylet.agent.netlink import Message
from pylet.agent.network import rtnetlink
from pylet.agent.network.rtnetlink import Address, Link, Rtnetlink
from pylet.aio.clock import Clock
from pylet.api.backends import SERVICE_NAME
from pylet.api.loadbalancer import FROM_POOL, announcer, may_serve, nodes_with_endpoints
from pylet.api.object import Key, Object, dig, is_true
from pylet.client.view import Entry, Table

if TYPE_CHECKING:
    from pylet.agent.network.answering import Answering

log = logging.getLogger(__name__)

_MARK = FROM_POOL.encode()
_GATHER_SECONDS = 0.01
_REPEATS_SECONDS = (0.0, 1.0, 2.0)  # nobody acknowledges an announcement


class _Place(NamedTuple):
    link: Link
    version: int
    """4 or 6."""


class Announcements:
    """`run` until cancelled. Costs nothing while no Service has an address of a pool."""

    def __init__(
        self, services: Table, slices: Table, nodes: Table, clock: Clock, *, node: str, node_ips: tuple[str, ...]
    ) -> None:
        self._services = services
        self._slices = slices
        self._nodes = nodes
        self._clock = clock
        self._node = node
        self._node_ips = tuple(map(ip_address, node_ips))
        self._wake = asyncio.Event()
        self._links: set[int] = set()  # those whose changes concern it
        self._local: set[Key] = set()  # Services whose endpoints decide who answers
        self._answering: dict[_Place, tuple[frozenset[Address], Answering]] = {}

    async def run(self) -> None:
        with contextlib.ExitStack() as stack:
            stack.callback(self._services.listen(self._service_changed))
            while not any(_MARK in entry.raw for entry in self._services.entries.values()):
                self._wake.clear()
                await self._wake.wait()
            stack.callback(self._slices.listen(self._slice_changed))
            stack.callback(self._nodes.listen(lambda before, after: self._wake.set()))
            stack.enter_context(rtnetlink.watch(self._kernel_changed))
            stack.callback(lambda: self._close(list(self._answering)))
            async with asyncio.TaskGroup() as group:
                while True:
                    self._wake.clear()
                    if news := self._apply():
                        group.create_task(self._announce(news))
                    await self._wake.wait()
                    await self._clock.sleep(_GATHER_SECONDS)

    def _service_changed(self, before: Entry | None, after: Entry | None) -> None:
        if any(entry is not None and _MARK in entry.raw for entry in (before, after)):
            self._wake.set()

    def _slice_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        if entry is not None and _service_of(entry) in self._local:
            self._wake.set()

    def _kernel_changed(self, message: Message | None) -> None:
        if message is None or rtnetlink.is_about_link(message, self._links):
            self._wake.set()

    def _apply(self) -> frozenset[Address]:
        """Answer for what is this node's; returns what was not a moment ago."""
        from pylet.agent.network.answering import Answering

        wanted = self._places(self._own())
        before = {place: addresses for place, (addresses, _) in self._answering.items()}
        self._close(place for place, addresses in before.items() if wanted.get(place) != addresses)
        for place in wanted.keys() - self._answering.keys():
            try:
                self._answering[place] = wanted[place], Answering(place.link, wanted[place])
            except OSError as failed:
                log.error("answer for addresses on %s: %s", place.link.name, failed)
        return frozenset().union(*wanted.values()) - frozenset().union(*before.values())

    def _own(self) -> Iterator[Address]:
        """The addresses that this node answers for."""
        nodes = {entry.key.name for entry in self._nodes.entries.values() if may_serve(entry.object)}
        services = [entry for entry in self._services.entries.values() if _MARK in entry.raw]
        self._local = {each.key for each in services if each.object["spec"].get("externalTrafficPolicy") == "Local"}
        slices: dict[Key, list[Object]] = {key: [] for key in self._local}
        for entry in self._slices.entries.values() if self._local else ():
            if (key := _service_of(entry)) in slices:
                slices[key].append(entry.object)
        for entry in services:
            if not is_true(entry.object, FROM_POOL):
                continue
            serving = nodes & nodes_with_endpoints(slices[entry.key]) if entry.key in slices else nodes
            for ingress in dig(entry.object, "status", "loadBalancer", "ingress", default=()) or ():
                if ingress.get("ip") and announcer(ingress["ip"], serving) == self._node:
                    yield ip_address(ingress["ip"])

    def _places(self, addresses: Iterable[Address]) -> dict[_Place, frozenset[Address]]:
        """Each on the link whose network has it, else on that of the node's own address."""
        with Rtnetlink() as kernel:
            links = {link.index: link for link in kernel.links() if link.is_up and link.mac}
            here = [(interface, links[index]) for interface, index in kernel.addresses().items() if index in links]
        own = {interface.version: link for interface, link in here if interface.ip in self._node_ips}
        found: dict[_Place, set[Address]] = {}
        for address in addresses:
            link = next((link for one, link in here if address in one.network), own.get(address.version))
            if link is not None:
                found.setdefault(_Place(link, address.version), set()).add(address)
        self._links = {link.index for link in own.values()} | {place.link.index for place in found}
        return {place: frozenset(addresses) for place, addresses in found.items()}

    async def _announce(self, news: frozenset[Address]) -> None:
        log.info("this node answers for %s", ", ".join(sorted(map(str, news))))
        for seconds in _REPEATS_SECONDS:
            await self._clock.sleep(seconds)
            for addresses, answering in list(self._answering.values()):
                for address in addresses & news:
                    with contextlib.suppress(OSError):  # a link that is down: it is said again when it comes up
                        answering.announce(address)

    def _close(self, places: Iterable[_Place]) -> None:
        for place in list(places):
            self._answering.pop(place)[1].close()


def _service_of(entry: Entry) -> Key:
    return Key(entry.key.namespace, entry.labels.get(SERVICE_NAME, ""))
