"""The DNS wire format, as far as a resolver for a cluster needs it: read a question, write an answer. Pure.

Source: RFC 1035, RFC 2782 (SRV), RFC 3596 (AAAA), RFC 6891 (EDNS).
"""

from __future__ import annotations

import ipaddress
import struct
from dataclasses import dataclass
from typing import NamedTuple

A, NS, CNAME, SOA, PTR, HINFO, TXT, AAAA, SRV, OPT, ANY = 1, 2, 5, 6, 12, 13, 16, 28, 33, 41, 255
IN = 1
NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP, REFUSED = 0, 1, 2, 3, 4, 5
PLAIN_BYTES = 512
"""What an answer over UDP may take when the client does not say more."""

_HEADER = struct.Struct("!HHHHHH")
_FIXED = struct.Struct("!HHIH")
_QR, _AA, _TC, _RD, _RA = 0x8000, 0x0400, 0x0200, 0x0100, 0x0080
_OPCODE = 0x7800
_OPT_ALONE = b"\0\0\0\0\0\1"  # counts of records behind the question
_OPT_FIXED_BYTES = 11


class Malformed(ValueError):
    """Not a DNS query."""


@dataclass(frozen=True, slots=True)
class Query:
    """`name` is lower case without the final dot; `raw_question` is the question as asked, to be repeated."""

    id: int
    name: str
    type: int
    recursion: bool
    raw_question: bytes
    edns_bytes: int
    """What the client takes over UDP; 0 without EDNS."""
    opcode: int = 0
    class_: int = IN


class Record(NamedTuple):
    """`data` is the record's own bytes; names in them are not compressed."""

    name: str
    type: int
    ttl: int
    data: bytes


def parse(packet: bytes) -> Query:
    """Raises: Malformed."""
    if len(packet) < _HEADER.size:
        raise Malformed("shorter than a header")
    id_, flags, questions, _, _, additional = _HEADER.unpack_from(packet)
    if flags & _QR or questions != 1:
        raise Malformed("not a query with one question")
    labels, at = [], _HEADER.size
    while True:
        if at >= len(packet):
            raise Malformed("the name does not end")
        size = packet[at]
        at += 1
        if size == 0:
            break
        if size > 63 or at + size > len(packet):
            raise Malformed("a label is too long")
        labels.append(packet[at : at + size])
        at += size
    if at + 4 > len(packet):
        raise Malformed("the question does not end")
    type_ = int.from_bytes(packet[at : at + 2], "big")
    class_ = int.from_bytes(packet[at + 2 : at + 4], "big")
    name = b".".join(labels).decode("latin-1").lower()
    edns = _edns_bytes(packet, at + 4) if additional else 0
    return Query(
        id_, name, type_, bool(flags & _RD), packet[_HEADER.size : at + 4], edns, (flags & _OPCODE) >> 11, class_
    )


def _edns_bytes(packet: bytes, at: int) -> int:
    """The OPT record's size field; only the usual place, first behind the question, is looked at."""
    if (
        len(packet) >= at + _OPT_FIXED_BYTES
        and packet[at] == 0
        and int.from_bytes(packet[at + 1 : at + 3], "big") == OPT
    ):
        return max(PLAIN_BYTES, int.from_bytes(packet[at + 3 : at + 5], "big"))
    return 0


def without_options(packet: bytes, query: Query) -> bytes:
    """The question without a client's cookie and the like: they are for who hears them first (RFC 6891, 6.2.6)."""
    if not query.edns_bytes or packet[6:12] != _OPT_ALONE:
        return packet
    return packet[: _HEADER.size + len(query.raw_question) + _OPT_FIXED_BYTES - 2] + b"\0\0"


def answer(
    query: Query,
    records: list[Record],
    *,
    code: int = NOERROR,
    authority: list[Record] | None = None,
    extra: list[Record] | None = None,
    authoritative: bool = True,
    most_bytes: int = 65535,
) -> bytes:
    """The packet; with the truncation bit and no records where it would not fit into `most_bytes`."""
    sections = [_encode(group, query) for group in (records, authority or [], extra or [])]
    if query.edns_bytes:
        sections[2].append(b"\0" + struct.pack("!HHIH", OPT, 1232, 0, 0))
    body = b"".join(b"".join(section) for section in sections)
    flags = _QR | (query.opcode << 11) | (_RD if query.recursion else 0) | _RA | (_AA if authoritative else 0) | code
    if _HEADER.size + len(query.raw_question) + len(body) > most_bytes:
        return _HEADER.pack(query.id, flags | _TC, 1, 0, 0, 0) + query.raw_question
    counts = [len(section) for section in sections]
    return _HEADER.pack(query.id, flags, 1, *counts) + query.raw_question + body


def failure(packet: bytes, code: int) -> bytes | None:
    """An answer to what could not be read; None where not even its id can be, and to what is an answer itself."""
    if len(packet) < _HEADER.size or packet[2] & 0x80:
        return None
    return packet[:2] + struct.pack("!HHHHH", _QR | code, 0, 0, 0, 0)


class Found(NamedTuple):
    """A record of an answer from elsewhere; `ttl_at` is where its TTL is."""

    type: int
    ttl: int
    ttl_at: int
    data: bytes
    is_answer: bool


def records_of(packet: bytes) -> list[Found]:
    """The records of all sections. Raises: Malformed."""
    try:
        _, _, questions, *counts = _HEADER.unpack_from(packet)
        at = _HEADER.size
        for _ in range(questions):
            at = _skip_name(packet, at) + 4
        found = []
        for position in range(sum(counts)):
            at = _skip_name(packet, at)
            type_, _, ttl, size = _FIXED.unpack_from(packet, at)
            data_at = at + _FIXED.size
            if data_at + size > len(packet):
                raise Malformed("a record does not end")
            ttl_at, at = at + 4, data_at + size
            # the highest bit makes it none: RFC 2181
            found.append(Found(type_, 0 if ttl >> 31 else ttl, ttl_at, packet[data_at:at], position < counts[0]))
    except (struct.error, IndexError) as broken:
        raise Malformed("the records do not end") from broken
    return found


def has_answers(packet: bytes) -> bool:
    return packet[6:8] != b"\0\0"


def soa_minimum(data: bytes) -> int:
    """How long a zone lets its denials be remembered, out of its SOA record's data."""
    return int.from_bytes(data[-4:], "big")


def question(name: str, type_: int) -> bytes:
    """A question of our own, under no id yet."""
    return _HEADER.pack(0, _RD, 1, 0, 0, 0) + encode_name(name) + struct.pack("!HH", type_, IN)


def addresses(packet: bytes, name: str, type_: int) -> list[Record]:
    """The addresses in an answer from elsewhere, whatever aliases led to them, as records of `name`."""
    size = 4 if type_ == A else 16
    try:
        records = records_of(packet)
    except Malformed:
        return []
    return [
        Record(name, type_, record.ttl, record.data)
        for record in records
        if record.is_answer and record.type == type_ and len(record.data) == size
    ]


def answers_to(packet: bytes, question: bytes) -> bool:
    """Whether a packet is the answer to `question`: its id and, in any case, its name."""
    end = _skip_name(question, _HEADER.size) + 4
    is_answer = len(packet) >= end and bool(packet[2] & 0x80)
    return is_answer and packet[:2] == question[:2] and packet[12:end].lower() == question[12:end].lower()


def is_truncated(packet: bytes) -> bool:
    return len(packet) > 3 and bool(packet[2] & 0x02)


def code_of(packet: bytes) -> int:
    return packet[3] & 0x0F


def _skip_name(packet: bytes, at: int) -> int:
    while True:
        size = packet[at]
        if size == 0:
            return at + 1
        if size & 0xC0:
            return at + 2
        at += 1 + size


def _encode(records: list[Record], query: Query) -> list[bytes]:
    # The question's name is at offset 12: a record about it needs two bytes, not the name again.
    return [
        (b"\xc0\x0c" if record.name == query.name else encode_name(record.name))
        + _FIXED.pack(record.type, IN, record.ttl, len(record.data))
        + record.data
        for record in records
    ]


def encode_name(name: str) -> bytes:
    return (
        b"".join(bytes([len(label)]) + label for label in name.encode("latin-1", "replace").split(b".") if label)
        + b"\0"
    )


def address(name: str, ip: str, ttl: int) -> Record:
    parsed = ipaddress.ip_address(ip)
    return Record(name, A if parsed.version == 4 else AAAA, ttl, parsed.packed)


def srv(name: str, target: str, port: int, ttl: int) -> Record:
    return Record(name, SRV, ttl, struct.pack("!HHH", 0, 100, port) + encode_name(target))


def pointer(name: str, target: str, ttl: int, type_: int = PTR) -> Record:
    return Record(name, type_, ttl, encode_name(target))


def text(name: str, words: str, ttl: int) -> Record:
    return Record(name, TXT, ttl, bytes([len(words)]) + words.encode())


def start_of_authority(zone: str, serial: int, ttl: int) -> Record:
    data = encode_name(f"ns.dns.{zone}") + encode_name(f"hostmaster.{zone}")
    return Record(zone, SOA, ttl, data + struct.pack("!IIIII", serial, 7200, 1800, 86400, ttl))
