"""What other resolvers said: for as long as they let it be remembered, and some time longer for when they are away.

Bounded by bytes; the least recently used goes first. Pure: the caller says what time it is.
Source: RFC 2308 (negative answers live as long as their SOA says), RFC 8767 (stale answers).
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from dataclasses import dataclass

from pylet.agent.network import dnswire as wire

LONGEST_SECONDS = 3600
LONGEST_DENIAL_SECONDS = 1800
STALE_SECONDS = 3600
STALE_TTL = 30
_ENTRY_BYTES = 400  # of bookkeeping, about


@dataclass(slots=True)
class _Kept:
    reply: bytes
    since: float
    life_seconds: int
    ttls: list[tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Answer:
    """`reply` has the asker's TTLs, and somebody else's id."""

    reply: bytes
    is_fresh: bool


class Cache:
    """Replies by what was asked: all of the packet but its id."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._kept: OrderedDict[bytes, _Kept] = OrderedDict()
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, asked: bytes, now: float) -> Answer | None:
        kept = self._kept.get(asked)
        if kept is None:
            return None
        age = int(now - kept.since)
        if age >= kept.life_seconds + STALE_SECONDS:
            self._drop(asked)
            return None
        self._kept.move_to_end(asked)
        is_fresh = age < kept.life_seconds
        reply = bytearray(kept.reply)
        for at, ttl in kept.ttls:
            struct.pack_into("!I", reply, at, max(0, ttl - age) if is_fresh else STALE_TTL)
        return Answer(bytes(reply), is_fresh)

    def put(self, asked: bytes, reply: bytes, now: float) -> None:
        """Remember a reply, unless it may not be."""
        if wire.is_truncated(reply):
            return
        ttls, life_seconds = _life(reply)
        if life_seconds <= 0:
            return
        self._drop(asked)
        self._kept[asked] = _Kept(reply, now, life_seconds, ttls)
        self.bytes += len(asked) + len(reply) + _ENTRY_BYTES
        while self.bytes > self._most_bytes:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        self._kept.clear()
        self.bytes = 0

    def _drop(self, asked: bytes) -> None:
        kept = self._kept.pop(asked, None)
        if kept is not None:
            self.bytes -= len(asked) + len(kept.reply) + _ENTRY_BYTES


def _life(reply: bytes) -> tuple[list[tuple[int, int]], int]:
    """Where the TTLs are with their values, and for how many seconds the whole may be remembered."""
    try:
        records = wire.records_of(reply)
    except wire.Malformed:
        return [], 0
    ttls = [(record.ttl_at, record.ttl) for record in records if record.type != wire.OPT]
    if wire.has_answers(reply):
        return ttls, min([LONGEST_SECONDS, *(ttl for _, ttl in ttls)]) if ttls else 0
    denials = [min(record.ttl, wire.soa_minimum(record.data)) for record in records if record.type == wire.SOA]
    return ttls, min([LONGEST_DENIAL_SECONDS, *denials]) if denials else 0
