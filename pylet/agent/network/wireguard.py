"""WireGuard between nodes: which keys a node has when, what it tells of them, and what its tunnels should hold. Pure.

Keys are made anew every period, numbered by it. Around each change a node has two tunnels, one of either key; packets
are taken from both, and sent by the newer one that both sides know, so that none meets a key that is gone; hands are
shaken a minute before, so that none waits. What a node has published is what it runs: one that cannot reach the server
goes on with the keys the others know of it.
"""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network

from pylet.agent.network.overlay import WIREGUARD_LINKS, Peer, Wanted, address_of, metric
from pylet.agent.network.rtnetlink import Address, Network, Route
from pylet.api.object import Object, annotations_of

ANNOTATION = "pylet.io/wireguard-keys"
"""On a Node: `<period>=<public key, base64>`, for each of its tunnels, a space between two."""
_PORT = 51820
_PERIOD = timedelta(days=7)
_OVERLAP = timedelta(hours=12)
_FOLLOW = timedelta(minutes=1)
"""Of two nodes one is the first to use a new key, and to shake hands before: both at once would disturb each other."""
_GREETING_SECONDS = 25
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Remote:
    """The other end of a tunnel; packets from and to `allowed` are its own. It hears of us at once, and each
    `keepalive_seconds`, if that is not 0."""

    endpoint: tuple[Address, int] | None
    allowed: frozenset[Network]
    keepalive_seconds: int = 0


@dataclass(frozen=True, slots=True)
class Tunnel:
    """`remotes` by their public keys."""

    private: bytes = field(repr=False)
    port: int
    remotes: Mapping[bytes, Remote]


def link_of(period: int) -> str:
    return WIREGUARD_LINKS[period % 2]


def port_of(period: int) -> int:
    return _PORT + period % 2


def published(node: Object) -> dict[int, bytes]:
    """A node's public keys by period; what cannot be read is left out."""
    found = {}
    for word in annotations_of(node).get(ANNOTATION, "").split():
        period, _, text = word.partition("=")
        try:
            key = b64decode(text, validate=True)
        except ValueError:
            continue
        if period.isdecimal() and len(key) == 32:
            found[int(period)] = key
    return found


def to_annotation(keys: Mapping[int, bytes]) -> str:
    return " ".join(f"{period}={b64encode(key).decode()}" for period, key in sorted(keys.items()))


def period_of(now: datetime) -> int:
    return (now - _EPOCH) // _PERIOD


def due(now: datetime, needed: Set[int]) -> set[int]:
    """The periods to have keys of: this one, around a change its neighbour, and what peers still need."""
    wanted = {period_of(now - _OVERLAP), period_of(now + _OVERLAP)}
    return wanted | {old for old in needed if all(link_of(old) != link_of(new) for new in wanted)}


def seconds_until_change(now: datetime) -> float:
    """Until what is due changes, or what is sent by, or who is greeted."""
    shifts = (-_OVERLAP, -_FOLLOW, timedelta(0), _FOLLOW, _OVERLAP)
    return min(_PERIOD - (now + shift - _EPOCH) % _PERIOD for shift in shifts).total_seconds()


def shared(own: Set[int], peer: Set[int], now: datetime, *, leads: bool) -> int | None:
    """The period whose tunnel leads to a peer: the newest that both have and that has begun, for who does not lead
    a moment ago."""
    common, current = own & peer, period_of(now if leads else now - _FOLLOW)
    return max((period for period in common if period <= current), default=min(common, default=None))


def greeted(
    own: str, peers: Iterable[tuple[Peer, Mapping[int, bytes]]], running: Set[int], now: datetime
) -> set[bytes]:
    """Keys of the peers that the node `own` will reach by another tunnel in a moment: those of that tunnel."""
    found = set()
    for peer, keys in peers:
        if own < peer.name:
            period, next_one = (shared(running, keys.keys(), moment, leads=True) for moment in (now, now + _FOLLOW))
            if next_one is not None and next_one != period:
                found.add(keys[next_one])
    return found


def tunnel(
    period: int,
    private: bytes,
    peers: Iterable[tuple[Peer, Mapping[int, bytes]]],
    family: int,
    greeted: Set[bytes] = frozenset(),
) -> Tunnel:
    """`peers` with their keys; `family` is that of the tunnel's own address."""
    remotes = {}
    for peer, keys in peers:
        endpoint = address_of(peer, family)
        if period in keys and endpoint is not None:
            # A packet of the node itself may bear any of its addresses; the routes say what is sent here.
            own = (ip_network(address) for address in peer.addresses)
            remotes[keys[period]] = Remote(
                (endpoint, port_of(period)),
                frozenset((*peer.pods, *own)),
                _GREETING_SECONDS if keys[period] in greeted else 0,
            )
    return Tunnel(private, port_of(period), remotes)


def wanted(
    own: str, peers: Iterable[tuple[Peer, Mapping[int, bytes]]], links: Mapping[int, int], family: int, now: datetime
) -> tuple[Wanted, set[int]]:
    """Routes of the node `own` by `links` (indices by period), and the periods that they use."""
    routes, unreachable, used = set(), set(), set()
    for peer, keys in peers:
        period = shared(links.keys(), keys.keys(), now, leads=own < peer.name)
        if address_of(peer, family) is None:
            unreachable.add(peer.name)
        elif period is not None:  # else it has yet to say its key
            used.add(period)
            routes |= {Route(pods, links[period], metric=metric(pods)) for pods in peer.pods}
    return Wanted(frozenset(routes), unreachable=frozenset(unreachable)), used
