"""Which keys a node has when, and which of them leads to a peer."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network

import pytest

from pylet.agent.network import wireguard
from pylet.agent.network.overlay import Peer
from pylet.agent.network.wireguard import (
    Remote,
    due,
    greeted,
    published,
    seconds_until_change,
    shared,
    to_annotation,
    tunnel,
)

DAY = timedelta(days=1)
START = datetime(1970, 1, 1, tzinfo=UTC) + 1000 * 7 * DAY  # of period 1000


@pytest.mark.parametrize(
    ("day", "needed", "expected"),
    [
        pytest.param(3, set(), {1000}, id="in the middle of a period there is one key"),
        pytest.param(6.8, set(), {1000, 1001}, id="before its end there is the next one, too"),
        pytest.param(7.2, set(), {1000, 1001}, id="the old one stays for a while"),
        pytest.param(7.6, set(), {1001}, id="then it goes"),
        pytest.param(7.6, {1000}, {1000, 1001}, id="unless a peer still has no newer one"),
        pytest.param(13.8, {1000}, {1001, 1002}, id="the one after next takes its link"),
    ],
)
def test_keys_that_are_due(day: float, needed: set[int], expected: set[int]) -> None:
    assert due(START + day * DAY, needed) == expected


MINUTE = 1 / 1440


@pytest.mark.parametrize(
    ("day", "expected"), [(3, 3.5), (6.75, 0.25 - MINUTE), (7 - MINUTE, MINUTE), (7.25, 0.25), (7.5, 6)]
)
def test_the_next_change(day: float, expected: float) -> None:
    assert seconds_until_change(START + day * DAY) == pytest.approx(expected * DAY.total_seconds())


@pytest.mark.parametrize(
    ("day", "own", "peer", "expected"),
    [
        pytest.param(6.8, {1000, 1001}, {1000, 1001}, 1000, id="a key is not used before its time"),
        pytest.param(7.1, {1000, 1001}, {1000, 1001}, 1001, id="then it is"),
        pytest.param(7.1, {1000, 1001}, {1000}, 1000, id="a peer that is late is reached by the old one"),
        pytest.param(6.8, {1000, 1001}, {1001}, 1001, id="one whose clock is ahead by the new one"),
        pytest.param(40, {1000}, {1000}, 1000, id="without a server the keys stay"),
        pytest.param(7.1, {1001}, {1000}, None, id="without a common one there is no way"),
    ],
)
def test_the_key_for_a_peer(day: float, own: set[int], peer: set[int], expected: int | None) -> None:
    assert shared(own, peer, START + day * DAY, leads=True) == expected


def test_the_other_of_two_follows_a_minute_later() -> None:
    moment = START + timedelta(seconds=59)
    assert [shared({999, 1000}, {999, 1000}, moment, leads=leads) for leads in (True, False)] == [1000, 999]
    assert seconds_until_change(moment) == 1
    assert shared({999, 1000}, {999, 1000}, START + timedelta(minutes=1), leads=False) == 1000


@pytest.mark.parametrize(
    ("own", "seconds", "expected"),
    [
        pytest.param("n0", -61, set(), id="not too early"),
        pytest.param("n0", -60, {b"new"}, id="a minute before its time a key's owner is greeted"),
        pytest.param("n0", 0, set(), id="then it is used"),
        pytest.param("n2", -60, set(), id="the other of two greets nobody"),
    ],
)
def test_a_greeting_goes_before(own: str, seconds: int, expected: set[bytes]) -> None:
    peers = [(Peer("n1", (), ()), {999: b"old", 1000: b"new"}), (Peer("n3", (), ()), {999: b"alone"})]
    others = [(peer, keys) for peer, keys in peers if own == "n0" or peer.name == "n1"]
    assert greeted(own, others, {999, 1000}, START + timedelta(seconds=seconds)) == expected


def test_what_a_node_publishes_is_read_again() -> None:
    keys = {1001: bytes(range(32)), 1000: bytes(32)}
    node = {"metadata": {"annotations": {wireguard.ANNOTATION: to_annotation(keys)}}}
    assert published(node) == keys


@pytest.mark.parametrize("said", ["", "x", "7=", "7=AAAA", "7=ä", "-1=" + "A" * 43 + "=", "=" * 9])
def test_what_nobody_can_read_is_no_key(said: str) -> None:
    assert published({"metadata": {"annotations": {wireguard.ANNOTATION: said}}}) == {}


def test_a_tunnel_has_the_peers_of_its_period_at_their_port() -> None:
    pods = ip_network("10.42.1.0/24"), ip_network("fd42:0:0:1::/64")
    there = Peer("n1", pods, (ip_address("10.0.0.1"), ip_address("fd00::1")))
    key = bytes(32)
    peers = [(there, {1001: key}), (Peer("n2", pods, (ip_address("10.0.0.2"),)), {1000: key})]
    networks = frozenset({*pods, ip_network("10.0.0.1/32"), ip_network("fd00::1/128")})
    assert tunnel(1001, b"p", peers, 6).remotes == {key: Remote((ip_address("fd00::1"), 51821), networks)}
    assert tunnel(1000, b"p", peers, 6).remotes == {}  # no address of the tunnel's family
