"""What is remembered of other resolvers' answers, for how long, and how much of it."""

from __future__ import annotations

import random

import dns.message
import dns.rcode
import dns.rrset
import pytest

from pylet.agent.network import dnswire as wire
from pylet.agent.network.dnscache import LONGEST_SECONDS, STALE_SECONDS, STALE_TTL, Cache

QUERY = dns.message.make_query("www.example.test", "A", use_edns=0)
ASKED = QUERY.to_wire()[2:]


def _denial(denied_for: int | None = None) -> bytes:
    reply = dns.message.make_response(QUERY)
    if denied_for is not None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
        soa = f"ns.example.test. root.example.test. 1 2 3 4 {denied_for}"
        reply.authority.append(dns.rrset.from_text("example.test.", 900, "IN", "SOA", soa))
    return reply.to_wire()


def _answer(ttl: int) -> bytes:
    reply = dns.message.make_response(QUERY)
    reply.answer.append(dns.rrset.from_text("www.example.test.", ttl, "IN", "A", "192.0.2.1"))
    return reply.to_wire()


@pytest.mark.parametrize(
    ("reply", "life"),
    [
        pytest.param(_answer(60), 60, id="as long as its TTL says"),
        pytest.param(_answer(10**6), LONGEST_SECONDS, id="but not for days"),
        pytest.param(_answer(0), 0, id="not at all"),
        pytest.param(_denial(20), 20, id="a denial as long as the zone says"),
        pytest.param(_denial(), 0, id="a denial without a zone not at all"),
    ],
)
def test_life(reply: bytes, life: int) -> None:
    cache = Cache(10**6)
    cache.put(ASKED, reply, 100.0)
    if not life:
        assert cache.get(ASKED, 100.0) is None
        return
    kept = cache.get(ASKED, 100.0 + life - 1)
    assert kept
    assert kept.is_fresh
    records = [record for record in wire.records_of(kept.reply) if record.type != wire.OPT]
    assert min(record.ttl for record in records) >= 1
    stale = cache.get(ASKED, 100.0 + life)
    assert stale
    assert not stale.is_fresh
    assert wire.records_of(stale.reply)[0].ttl == STALE_TTL
    assert cache.get(ASKED, 100.0 + life + STALE_SECONDS) is None
    assert cache.bytes == 0


def test_ttls_count_down() -> None:
    cache = Cache(10**6)
    cache.put(ASKED, _answer(60), 0.0)
    kept = cache.get(ASKED, 25.5)
    assert kept
    assert dns.message.from_wire(kept.reply).answer[0].ttl == 35


def test_a_record_that_is_over_before_the_denial_it_came_with_counts_down_to_nothing() -> None:
    reply = dns.message.from_wire(_denial(20))
    reply.authority.append(dns.rrset.from_text("example.test.", 5, "IN", "NS", "ns.example.test."))
    cache = Cache(10**6)
    cache.put(ASKED, reply.to_wire(), 0.0)
    kept = cache.get(ASKED, 10.0)
    assert kept
    assert sorted(record.ttl for record in wire.records_of(kept.reply) if record.type != wire.OPT) == [0, 890]


def test_an_answer_of_options_alone_is_not_remembered() -> None:
    options = b"\0" + b"\0\x29\x04\xd0" + bytes(6)
    cache = Cache(10**6)
    cache.put(ASKED, _denial()[:6] + b"\0\1\0\0\0\0" + _denial()[12:-11] + options, 0.0)
    assert len(cache) == 0


def test_it_does_not_grow() -> None:
    cache = Cache(50_000)
    for number in range(10_000):
        cache.put(b"%d" % number, _answer(60), 0.0)
        cache.get(b"0", 0.0)
    assert cache.bytes <= 50_000
    assert cache.get(b"0", 0.0)  # used all the time
    assert cache.get(b"1", 0.0) is None


def test_garbage_is_not_remembered_and_harms_nobody() -> None:
    cache, chance, good = Cache(10**6), random.Random(7), _answer(60)
    for _ in range(5000):
        packet = bytearray(good)
        for _ in range(chance.randrange(1, 6)):
            packet[chance.randrange(len(packet))] = chance.randrange(256)
        reply = bytes(packet[: chance.randrange(len(packet) + 1)])
        cache.put(ASKED, reply, 0.0)
        cache.get(ASKED, 1.0)
        wire.addresses(reply, "www.example.test", wire.A)
        try:
            wire.parse(reply)
        except wire.Malformed:
            wire.failure(reply, wire.FORMERR)


def test_an_answer_is_never_answered() -> None:
    assert wire.failure(_answer(60), wire.FORMERR) is None
