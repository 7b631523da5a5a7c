"""Asking other resolvers: equal questions once, stale answers while nobody speaks, resolvers that ask back."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pylet.agent.network import dnsforward
from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnsforward import Forwarder
from pylet.agent.network.dnsmetrics import Metrics
from pylet.agent.network.dnssettings import DnsSettings, Resolver
from pylet.aio.clock import VirtualClock
from tests.waiting import until

NAME = "www.example.test"
PACKET = b"\x12\x34" + wire.question(NAME, wire.A)[2:]


class World:
    """A resolver on loopback that knows every name, and counts."""

    def __init__(self) -> None:
        self.asked = 0
        self.questions: list[bytes] = []
        self.is_silent = False
        self._udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._udp.setblocking(False)
        self._udp.bind(("127.0.0.1", 0))
        self.resolver = Resolver(*self._udp.getsockname())

    @contextmanager
    def serving(self) -> Iterator[World]:
        loop = asyncio.get_running_loop()
        loop.add_reader(self._udp, self._answer)
        try:
            yield self
        finally:
            loop.remove_reader(self._udp)
            self._udp.close()

    def _answer(self) -> None:
        packet, client = self._udp.recvfrom(4096)
        self.asked += 1
        self.questions.append(packet)
        if not self.is_silent:
            query = wire.parse(packet)
            liar = wire.answer(wire.parse(wire.question("evil.test", wire.A)), [])
            self._udp.sendto(packet[:2] + liar[2:], client)  # another name's answer is not believed
            self._udp.sendto(wire.answer(query, [wire.address(query.name, "192.0.2.1", 60)]), client)


def _forwarder(world: World, clock: VirtualClock) -> Forwarder:
    forwarder = Forwarder((), "10.43.0.10", clock, Metrics())
    forwarder.configure(DnsSettings(upstreams=(world.resolver,)), ())
    return forwarder


async def test_equal_questions_are_asked_once() -> None:
    with World().serving() as world:
        forwarder = _forwarder(world, VirtualClock())
        replies = await asyncio.gather(*(forwarder.ask(PACKET, NAME, over_udp=True) for _ in range(50)))
        assert {wire.addresses(reply or b"", NAME, wire.A)[0].data for reply in replies} == {bytes([192, 0, 2, 1])}
        assert world.asked == 1
        assert forwarder.remembered(PACKET)


async def test_while_nobody_answers_the_old_answer_does(monkeypatch: pytest.MonkeyPatch) -> None:
    with World().serving() as world:
        clock = VirtualClock()
        forwarder = _forwarder(world, clock)
        await forwarder.ask(PACKET, NAME, over_udp=True)
        await clock.advance(100)
        assert forwarder.remembered(PACKET) is None
        world.is_silent = True
        monkeypatch.setattr(dnsforward, "_ANSWER_SECONDS", 0.01)
        assert wire.addresses(await forwarder.ask(PACKET, NAME, over_udp=True) or b"", NAME, wire.A)
        assert await forwarder.ask(b"\0\0" + wire.question("new.test", wire.A)[2:], "new.test", over_udp=True) is None


async def test_a_resolver_that_asks_back_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dnsforward, "_ANSWER_SECONDS", 0.01)
    with World().serving() as world:
        forwarder = _forwarder(world, VirtualClock())
        world.is_silent = True
        await forwarder.find_loops()
        await until(lambda: world.questions)
        (probe,) = world.questions
        assert forwarder.is_loop(wire.parse(probe).name)
        assert not forwarder.is_loop("somebody.else")
        await forwarder.ask(PACKET, NAME, over_udp=True)
        assert world.asked == 1


async def test_a_stub_domain_has_resolvers_of_its_own() -> None:
    with World().serving() as world:
        forwarder = Forwarder((), "10.43.0.10", VirtualClock(), Metrics())
        forwarder.configure(DnsSettings(stubs={"example.test": (world.resolver,)}), ("192.0.2.53",))
        assert await forwarder.ask(PACKET, NAME, over_udp=True)
