"""Sets and maps of nftables: their declaration as text, their elements as the kernel's bytes.

Pure. An element is text in nft's own words, so that rulesets can be read and compared; it is encoded when it is sent.
A key or value of several fields is joined with " . "; each field takes whole 4-byte registers.
Sources: linux/netfilter/nf_tables.h, nftables' datatype.c.
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import NamedTuple

from pylet.agent.netlink import attribute, nested

ADD, DELETE, FLUSH = "add", "delete", "flush"

_PROTOCOLS = {"tcp": 6, "udp": 17, "sctp": 132}
_DROP, _JUMP, _GOTO = 0, -3, -4
_MESSAGE_BYTES = 32 << 10  # a list of elements is an attribute, whose size has 16 bits; a refusal echoes all of it

# attributes: of a list of elements, of an element, of data
_TABLE, _SET, _ELEMENTS = 1, 2, 3
_KEY, _DATA, _KEY_END = 1, 2, 10
_VALUE, _VERDICT = 1, 2
_CODE, _CHAIN = 1, 2


class Element(NamedTuple):
    set: str
    key: str
    value: str = ""
    """Empty in a set."""


@dataclass(frozen=True, slots=True)
class SetType:
    """What a set or map holds. Where `flags` say interval, a key's addresses may be networks."""

    key: tuple[str, ...]
    value: tuple[str, ...] = ()
    """Fields, or the one word `verdict`; none in a set."""
    flags: str = ""

    def declare(self, name: str) -> str:
        value = f" : {' . '.join(self.value)}" if self.value else ""
        flags = f" flags {self.flags};" if self.flags else ""
        return f"{'map' if value else 'set'} {name} {{ type {' . '.join(self.key)}{value};{flags} }}"

    def element(self, key: str, value: str) -> bytes:
        """The attributes of one element; without a value what deletes it."""
        encoded = _value(_KEY, _fields(self.key, key))
        if "interval" in self.flags:
            encoded += _value(_KEY_END, _fields(self.key, key, last=True))
        if value:
            encoded += _verdict(value) if self.value == ("verdict",) else _value(_DATA, _fields(self.value, value))
        return encoded

    def key_text(self, key: bytes) -> str:
        """A key as the kernel gives it, in words."""
        return _texts(self.key, key)

    def value_text(self, value: bytes) -> str:
        return _texts(self.value, value)


# A full load encodes 40,000 elements of few distinct fields: what comes again is looked up.


def _fields(types: tuple[str, ...], text: str, *, last: bool = False) -> bytes:
    return b"".join([_field(type_, field, last=last) for type_, field in zip(types, text.split(" . "), strict=True)])


def _value(kind: int, data: bytes) -> bytes:
    return _value_head(kind, len(data)) + data


@functools.lru_cache(maxsize=64)
def _value_head(kind: int, size: int) -> bytes:
    """What comes before data of whole registers, which is a value inside of an attribute."""
    return nested(kind, attribute(_VALUE, bytes(size)))[:-size]


@functools.lru_cache(maxsize=4096)
def _field(type_: str, text: str, *, last: bool) -> bytes:
    match type_:
        case "ipv4_addr" | "ipv6_addr":
            if "/" in text:
                return ip_network(text)[-1 if last else 0].packed
            return bytes(map(int, text.split("."))) if type_ == "ipv4_addr" else IPv6Address(text).packed
        case "inet_proto":
            return bytes((_PROTOCOLS[text], 0, 0, 0))
        case "inet_service":
            first, _, end = text.partition("-")
            return struct.pack("!HH", int(end) if last and end else int(first), 0)
        case "classid":
            return struct.pack("=I", int(text.removeprefix("0:"), 16))
    raise ValueError(f"no encoding for fields of type {type_}")


def _texts(types: tuple[str, ...], data: bytes) -> str:
    texts, offset = [], 0
    for type_ in types:
        size = 16 if type_ == "ipv6_addr" else 4
        texts.append(_text(type_, data[offset : offset + size]))
        offset += size
    return " . ".join(texts)


def _text(type_: str, field: bytes) -> str:
    match type_:
        case "ipv4_addr":
            return str(IPv4Address(field))
        case "ipv6_addr":
            return str(IPv6Address(field))
        case "inet_proto":
            return next(name for name, number in _PROTOCOLS.items() if number == field[0])
        case "inet_service":
            return str(int.from_bytes(field[:2]))
    raise ValueError(f"no text for fields of type {type_}")


@functools.lru_cache(maxsize=256)
def _verdict(text: str) -> bytes:
    word, _, chain = text.partition(" ")
    code = struct.pack("!i", {"drop": _DROP, "jump": _JUMP, "goto": _GOTO}[word])
    parts = [attribute(_CODE, code)]
    if chain:
        parts.append(attribute(_CHAIN, f"{chain}\0".encode()))
    return nested(_DATA, nested(_VERDICT, *parts))


class Batch:
    """What one transaction does to a table's sets: empties some, deletes elements, adds others. Kept encoded."""

    def __init__(self, table: str, types: dict[str, SetType]) -> None:
        self._table = table
        self._types = types
        self._bodies: dict[str, list[bytes]] = {verb: [] for verb in (FLUSH, DELETE, ADD)}
        self._open: dict[tuple[str, str], bytearray] = {}
        self.size = 0

    def flush(self, name: str) -> None:
        self._bodies[FLUSH].append(self._head(name))

    def delete(self, elements: Iterable[Element]) -> None:
        for name, key, _ in elements:
            self._put(DELETE, name, self._types[name].element(key, ""))

    def add(self, elements: Iterable[Element]) -> None:
        for name, key, value in elements:
            self._put(ADD, name, self._types[name].element(key, value))

    def messages(self) -> list[tuple[str, bytes]]:
        """(verb, body), in the order that the kernel needs."""
        for verb, name in list(self._open):
            self._close(verb, name)
        return [(verb, body) for verb, bodies in self._bodies.items() for body in bodies]

    def _put(self, verb: str, name: str, element: bytes) -> None:
        chunk = self._open.setdefault((verb, name), bytearray())
        chunk += nested(1, element)
        self.size += len(element)
        if len(chunk) > _MESSAGE_BYTES:
            self._close(verb, name)

    def _close(self, verb: str, name: str) -> None:
        chunk = self._open.pop((verb, name))
        self._bodies[verb].append(self._head(name) + nested(_ELEMENTS, bytes(chunk)))

    def _head(self, name: str) -> bytes:
        return attribute(_TABLE, f"{self._table}\0".encode()) + attribute(_SET, f"{name}\0".encode())
