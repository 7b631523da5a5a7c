"""Asks other resolvers for names that are not the cluster's: each question once at a time, answers remembered.

Who answered last is asked first. While nobody answers, what was remembered is said even when its time is over. A
resolver that asks this one back is found by a question nobody else asks, and left out.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Sequence

from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnscache import Answer, Cache
from pylet.agent.network.dnsmetrics import Metrics
from pylet.agent.network.dnssettings import DnsSettings, Resolver
from pylet.aio.clock import Clock

log = logging.getLogger(__name__)

_CACHE_BYTES = 8 << 20
_ANSWER_SECONDS = 2.0
_STALE_AFTER_SECONDS = 1.8  # RFC 8767, section 5
_USABLE = (wire.NOERROR, wire.NXDOMAIN)


class Forwarder:
    """`upstreams` are the node's own resolvers; what people set goes before them."""

    def __init__(self, upstreams: Sequence[str], own_address: str, clock: Clock, metrics: Metrics) -> None:
        self._own_address = own_address
        self._node_upstreams = self._others(upstreams)
        self._clock = clock
        self._metrics = metrics
        self._cache = Cache(_CACHE_BYTES)
        self._asking: dict[tuple[bytes, bool], asyncio.Future[bytes | None]] = {}
        self._probes: dict[str, Resolver] = {}
        self._looping: set[Resolver] = set()
        self._last_good: Resolver | None = None
        self.settings = DnsSettings()

    def configure(self, settings: DnsSettings, upstreams: Sequence[str]) -> None:
        self.settings = settings
        self._node_upstreams = self._others(upstreams)
        self._looping.clear()
        self._cache.clear()

    def remembered(self, packet: bytes) -> bytes | None:
        """A fresh answer, under somebody else's id."""
        kept = self._cache.get(packet[2:], self._clock.monotonic())
        if kept is None or not kept.is_fresh:
            self._metrics.cache_misses += 1
            return None
        self._metrics.cache_hits += 1
        return kept.reply

    async def ask(self, packet: bytes, name: str, *, over_udp: bool) -> bytes | None:
        """The answer of somebody who knows, or what he said earlier; under somebody else's id. None: nobody says."""
        asked = packet[2:], over_udp
        if (others := self._asking.get(asked)) is not None:
            return await asyncio.shield(others)
        answer = self._asking[asked] = asyncio.get_running_loop().create_future()
        reply = None
        try:
            reply = await self._ask(packet, name, over_udp=over_udp)
            return reply
        finally:
            del self._asking[asked]
            answer.set_result(reply)

    async def _ask(self, packet: bytes, name: str, *, over_udp: bool) -> bytes | None:
        stale = self._cache.get(packet[2:], self._clock.monotonic())
        try:
            async with asyncio.timeout(None if stale is None else _STALE_AFTER_SECONDS):
                reply = await self._ask_all(packet, name, over_udp=over_udp)
        except TimeoutError:
            reply = None
        if reply is None:
            return self._stale(stale)
        self._cache.put(packet[2:], reply, self._clock.monotonic())
        return reply

    def _stale(self, stale: Answer | None) -> bytes | None:
        if stale is None:
            self._metrics.forward_failures += 1
            return None
        self._metrics.served_stale += 1
        return stale.reply

    async def _ask_all(self, packet: bytes, name: str, *, over_udp: bool) -> bytes | None:
        for resolver in self._resolvers(name):
            self._metrics.forwarded += 1
            reply = await _exchange(resolver, packet, over_udp=over_udp)
            if reply is not None and wire.code_of(reply) in _USABLE:
                self._last_good = resolver
                return reply
        return None

    def _resolvers(self, name: str) -> list[Resolver]:
        known = self.settings.stub_for(name) or self.settings.upstreams or self._node_upstreams
        usable = [one for one in known if one not in self._looping and one.address != self._own_address]
        return sorted(usable, key=lambda resolver: resolver != self._last_good)

    def _others(self, addresses: Sequence[str]) -> tuple[Resolver, ...]:
        return tuple(Resolver(address) for address in addresses if address != self._own_address)

    # ---- loops

    async def find_loops(self) -> None:
        """Ask every resolver something only this one can hear again."""
        stubs = [resolver for group in self.settings.stubs.values() for resolver in group]
        known = {*stubs, *(self.settings.upstreams or self._node_upstreams)}
        probes = {f"{secrets.token_hex(8)}.{secrets.token_hex(8)}": resolver for resolver in known}
        self._probes = probes
        questions = [_exchange(one, wire.question(name, wire.HINFO), over_udp=True) for name, one in probes.items()]
        await asyncio.gather(*questions)

    def is_loop(self, name: str) -> bool:
        """Whether a question is one of ours that came back; whoever it was asked is not asked again."""
        resolver = self._probes.get(name)
        if resolver is None:
            return False
        if resolver not in self._looping:
            self._looping.add(resolver)
            log.error("resolver %s asks the cluster's DNS in turn: it is left out; see --resolv-conf", resolver.address)
        return True


async def _exchange(resolver: Resolver, packet: bytes, *, over_udp: bool) -> bytes | None:
    """One question under an id and a port of its own, which are what an answer is believed by."""
    question = secrets.token_bytes(2) + packet[2:]
    try:
        async with asyncio.timeout(_ANSWER_SECONDS):
            if not over_udp:
                return await _exchange_stream(resolver, question)
            loop = asyncio.get_running_loop()
            family = socket.AF_INET6 if ":" in resolver.address else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as asked:
                asked.setblocking(False)
                await loop.sock_connect(asked, tuple(resolver))
                await loop.sock_sendall(asked, question)
                while True:
                    reply = await loop.sock_recv(asked, 65535)
                    if wire.answers_to(reply, question):
                        return reply
    except (OSError, TimeoutError):
        return None


async def _exchange_stream(resolver: Resolver, question: bytes) -> bytes | None:
    reader, writer = await asyncio.open_connection(*resolver)
    try:
        writer.write(len(question).to_bytes(2, "big") + question)
        size = int.from_bytes(await reader.readexactly(2), "big")
        reply = await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        return None
    finally:
        writer.close()
    return reply if wire.answers_to(reply, question) else None
