"""Answers "who has this address" on a link for addresses that the machine itself does not have, and says so unasked.

Packets are read beside the kernel's own stack: nothing of the link is changed, and nobody answers any more once the
agent is gone. A filter in the kernel lets only the questions meant through, so that a busy network wakes nobody.
Sources: RFC 826, RFC 5227 section 3 (ARP), RFC 4861 sections 4.3, 4.4 and 7.2 (neighbour discovery).
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
from collections.abc import Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

from pylet.agent.network.rtnetlink import Address, Link

_ARP, _IPV6 = 0x0806, 0x86DD
_ETHERNET = struct.Struct("!6s6sH")
_ARP_BODY = struct.Struct("!HHBBH6s4s6s4s")
_REQUEST, _REPLY = 1, 2
_IPV6_HEAD = struct.Struct("!IHBB16s16s")
_ICMPV6, _SOLICITATION, _ADVERTISEMENT = 58, 135, 136
_SOLICITED, _OVERRIDE = 0x40000000, 0x20000000
_EVERYBODY, _EVERYBODY6 = b"\xff" * 6, b"\x33\x33\x00\x00\x00\x01"
_ALL_NODES = IPv6Address("ff02::1").packed

_ATTACH_FILTER = 26
_LOAD, _LOAD_HALF, _LOAD_BYTE, _JUMP_EQUAL, _RETURN = 0x20, 0x28, 0x30, 0x15, 0x06


class Answering:
    """For addresses of one family on one link, until closed. Raises OSError where the link is gone."""

    def __init__(self, link: Link, addresses: Iterable[Address]) -> None:
        self._mac = bytes.fromhex(link.mac.replace(":", ""))
        self._addresses = sorted(addresses, key=int)
        self._is_arp = self._addresses[0].version == 4
        self._groups = _join(link.index, self._addresses)
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # of no protocol: deaf until filtered
        self._socket.setblocking(False)
        program = b"".join(_arp_filter(self._addresses) if self._is_arp else _solicitation_filter(self._addresses))
        code = ctypes.create_string_buffer(program, len(program))
        head = struct.pack("HL", len(program) // 8, ctypes.addressof(code))
        self._socket.setsockopt(socket.SOL_SOCKET, _ATTACH_FILTER, head)
        self._socket.bind((link.name, _ARP if self._is_arp else _IPV6))
        asyncio.get_running_loop().add_reader(self._socket, self._asked)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()
        self._groups.close()

    def announce(self, address: Address) -> None:
        """Tell everybody on the link that the address is here now. Raises: OSError."""
        if isinstance(address, IPv4Address):
            for kind in (_REQUEST, _REPLY):  # some take the one, some the other
                self._socket.send(_arp(kind, self._mac, address.packed, _EVERYBODY, address.packed))
        else:
            self._socket.send(_advertisement(self._mac, address.packed, _EVERYBODY6, _ALL_NODES, _OVERRIDE))

    def _asked(self) -> None:
        for _ in range(64):
            try:
                frame = self._socket.recv(256)
                answer = answer_to(frame, self._mac)
                if answer:
                    self._socket.send(answer)
            except OSError:  # nothing more to read, or the link is down: who hears nothing asks again
                return


def answer_to(frame: bytes, mac: bytes) -> bytes:
    """The answer to a question that came through the filter; b"" to one that asks nobody. Pure."""
    try:
        _, asker, protocol = _ETHERNET.unpack_from(frame)
        if protocol == _ARP:
            *_, kind, sender_mac, sender, _, target = _ARP_BODY.unpack_from(frame, _ETHERNET.size)
            if kind != _REQUEST or sender == target:  # who tells of itself does not ask
                return b""
            return _arp(_REPLY, mac, target, sender_mac, sender)
        _, _, following, hops, sender, _ = _IPV6_HEAD.unpack_from(frame, _ETHERNET.size)
        kind, code, _, _, target = struct.unpack_from("!BBHI16s", frame, _ETHERNET.size + _IPV6_HEAD.size)
    except struct.error:
        return b""
    if (following, hops, kind, code) != (_ICMPV6, 255, _SOLICITATION, 0):
        return b""
    if not any(sender):  # it asks whether the address is free
        return _advertisement(mac, target, _EVERYBODY6, _ALL_NODES, _OVERRIDE)
    return _advertisement(mac, target, asker, sender, _SOLICITED | _OVERRIDE)


def _arp(kind: int, mac: bytes, address: bytes, to_mac: bytes, to: bytes) -> bytes:
    return _ETHERNET.pack(to_mac, mac, _ARP) + _ARP_BODY.pack(1, 0x0800, 6, 4, kind, mac, address, to_mac, to)


def _advertisement(mac: bytes, address: bytes, to_mac: bytes, to: bytes, flags: int) -> bytes:
    body = struct.pack("!I16sBB6s", flags, address, 2, 1, mac)
    size = 4 + len(body)
    pseudo = address + to + struct.pack("!II", size, _ICMPV6)
    message = struct.pack("!BBH", _ADVERTISEMENT, 0, _checksum(pseudo + bytes([_ADVERTISEMENT, 0, 0, 0]) + body)) + body
    head = _IPV6_HEAD.pack(6 << 28, size, _ICMPV6, 255, address, to)
    return _ETHERNET.pack(to_mac, mac, _IPV6) + head + message


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _arp_filter(addresses: Iterable[Address]) -> Iterator[bytes]:
    yield from _unless(_LOAD_HALF, 20, _REQUEST)
    yield _step(_LOAD, 38)
    for address in addresses:
        yield _step(_JUMP_EQUAL, int(address), otherwise=1)
        yield _step(_RETURN, 0xFFFF)
    yield _step(_RETURN, 0)


def _solicitation_filter(addresses: Iterable[Address]) -> Iterator[bytes]:
    yield from _unless(_LOAD_BYTE, 20, _ICMPV6)
    yield from _unless(_LOAD_BYTE, 54, _SOLICITATION)
    for address in addresses:
        for number, word in enumerate(struct.unpack("!4I", address.packed)):
            yield _step(_LOAD, 62 + 4 * number)
            yield _step(_JUMP_EQUAL, word, otherwise=7 - 2 * number)
        yield _step(_RETURN, 0xFFFF)
    yield _step(_RETURN, 0)


def _unless(load: int, offset: int, value: int) -> Iterator[bytes]:
    """Drop what does not have the value there."""
    yield _step(load, offset)
    yield _step(_JUMP_EQUAL, value, then=1)
    yield _step(_RETURN, 0)


def _step(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return struct.pack("=HBBI", code, then, otherwise, value)


def _join(link: int, addresses: Iterable[Address]) -> socket.socket:
    """The groups that questions for IPv6 addresses are sent to; who holds the socket is a member."""
    member = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    for address in addresses:
        if address.version == 6:
            group = ip_address(int(IPv6Address("ff02::1:ff00:0")) | int(address) & 0xFFFFFF)
            member.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_JOIN_GROUP, group.packed + struct.pack("@i", link))
    return member
