"""Netlink framing: messages, attributes, requests, dumps and subscriptions. Knows no family (routes, conntrack) itself.

Requests do not wait: the kernel handles one inside `send`, and the answer is there to read, so they are plain calls.
Sources: RFC 3549 section 2, linux/netlink.h.
"""

from __future__ import annotations

import asyncio
import errno
import itertools
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import NamedTuple

ROUTE, NETFILTER, GENERIC = 0, 12, 16  # protocols

REQUEST, ACK, DUMP = 0x1, 0x4, 0x300
CREATE, REPLACE, EXCLUSIVE, APPEND = 0x400, 0x100, 0x200, 0x800
_DUMP_INTERRUPTED = 0x10
_ACK_CAPPED, _ACK_ATTRIBUTES = 0x100, 0x200

_ERROR, _DONE = 2, 3
_NESTED = 0x8000
_ATTRIBUTE_TYPE = 0x3FFF  # without the flags NESTED and NET_BYTEORDER

_SOL_NETLINK, _ADD_MEMBERSHIP, _DROP_MEMBERSHIP, _EXT_ACK, _STRICT = 270, 1, 2, 11, 12
_SNDBUFFORCE = 32
_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_RECEIVE_BYTES = 1 << 16


class Message(NamedTuple):
    kind: int
    body: bytes
    port: int = 0
    """Of a notification: the port of the socket whose request it tells of."""


class NetlinkError(OSError):
    """The kernel refused a request; `strerror` carries its own explanation where it gave one."""


def attribute(kind: int, payload: bytes) -> bytes:
    """One attribute, padded to the four bytes that the next one starts on."""
    size = _ATTRIBUTE.size + len(payload)
    return _ATTRIBUTE.pack(size, kind) + payload + bytes(-size % 4)


def nested(kind: int, *attributes: bytes) -> bytes:
    return attribute(kind | _NESTED, b"".join(attributes))


def attributes(data: bytes, offset: int = 0) -> dict[int, bytes]:
    """Payloads by attribute type. Of a repeated attribute the last one stays."""
    found = {}
    while offset + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            break
        found[kind & _ATTRIBUTE_TYPE] = data[offset + _ATTRIBUTE.size : offset + size]
        offset += size + (-size % 4)
    return found


def payloads(data: bytes) -> list[bytes]:
    """The payloads of attributes that repeat: what a list is."""
    found, offset = [], 0
    while offset + _ATTRIBUTE.size <= len(data):
        size, _ = _ATTRIBUTE.unpack_from(data, offset)
        if size < _ATTRIBUTE.size:
            break
        found.append(data[offset + _ATTRIBUTE.size : offset + size])
        offset += size + (-size % 4)
    return found


class Netlink:
    """One netlink socket for requests."""

    def __init__(self, protocol: int) -> None:
        self._socket = _open(protocol)
        self._socket.settimeout(10)  # the kernel answers at once; this only keeps a bug from hanging the agent
        self._serial = itertools.count(1)

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def call(self, kind: int, body: bytes, flags: int = 0) -> None:
        """Ask for a change and wait for its acknowledgement. Raises: NetlinkError."""
        serial = self._send(kind, REQUEST | ACK | flags, body)
        for _ in self._answers(serial):
            pass

    def dump(self, kind: int, body: bytes) -> list[Message]:
        """Everything the kernel lists. Raises: NetlinkError."""
        while True:
            found = list(self._answers(self._send(kind, REQUEST | DUMP, body)))
            if not self._interrupted:
                return found

    def batch(self, messages: Iterable[tuple[int, int, bytes]]) -> None:
        """Send (kind, flags, body) messages as one datagram and wait for the last answer. Raises: NetlinkError.

        The last message that asks for an acknowledgement is waited for; the first refusal is raised.
        """
        parts: list[bytes] = []
        awaited = 0
        for kind, flags, body in messages:
            serial = next(self._serial)
            awaited = serial if flags & ACK else awaited
            parts += _HEADER.pack(_HEADER.size + len(body), kind, REQUEST | flags, serial, 0), body
        data = b"".join(parts)
        # a datagram larger than the buffer is refused with EMSGSIZE
        self._socket.setsockopt(socket.SOL_SOCKET, _SNDBUFFORCE, max(1 << 18, 2 * len(data)))
        self._socket.send(data)
        self._refusals_until(awaited)

    @property
    def port(self) -> int:
        """The address of this socket: notifications of what it changed bear it."""
        port: int = self._socket.getsockname()[0]
        return port

    def _refusals_until(self, awaited: int) -> None:
        refused: NetlinkError | None = None
        while True:
            for kind, flags, serial, _, body in _split(self._socket.recv(_RECEIVE_BYTES)):
                if kind != _ERROR:
                    continue
                try:
                    _raise_for(kind, flags, body)
                except NetlinkError as error:
                    refused = refused or error
                if serial == awaited:
                    if refused:
                        raise refused
                    return

    def _send(self, kind: int, flags: int, body: bytes) -> int:
        serial = next(self._serial)
        self._interrupted = False
        self._socket.send(_HEADER.pack(_HEADER.size + len(body), kind, flags, serial, 0) + body)
        return serial

    def _answers(self, serial: int) -> Iterator[Message]:
        while True:
            for kind, flags, of, _, body in _split(self._socket.recv(_RECEIVE_BYTES)):
                if of != serial:
                    continue
                self._interrupted |= bool(flags & _DUMP_INTERRUPTED)
                if kind in (_ERROR, _DONE):
                    _raise_for(kind, flags, body)
                    return
                yield Message(kind, body)


class Subscription:
    """Calls `heard` with each message of some multicast groups, and with None when the kernel had to drop some."""

    def __init__(self, protocol: int, groups: tuple[int, ...], heard: Callable[[Message | None], None]) -> None:
        self._socket = _open(protocol)
        self._heard = heard
        self._socket.setblocking(False)
        for group in groups:
            self.join(group)

    def __enter__(self) -> Subscription:
        asyncio.get_running_loop().add_reader(self._socket, self._drain)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.get_running_loop().remove_reader(self._socket)
        self._socket.close()

    def join(self, group: int) -> None:
        self._socket.setsockopt(_SOL_NETLINK, _ADD_MEMBERSHIP, group)

    def leave(self, group: int) -> None:
        """Not to hear of this group until joined again."""
        self._socket.setsockopt(_SOL_NETLINK, _DROP_MEMBERSHIP, group)

    def _drain(self) -> None:
        while True:
            try:
                data = self._socket.recv(_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                self._heard(None)
                continue
            for kind, _, _, port, body in _split(data):
                self._heard(Message(kind, body, port))


def _open(protocol: int) -> socket.socket:
    opened = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
    opened.bind((0, 0))
    opened.setsockopt(_SOL_NETLINK, _EXT_ACK, 1)
    opened.setsockopt(_SOL_NETLINK, _STRICT, 1)
    return opened


def _split(data: bytes) -> Iterator[tuple[int, int, int, int, bytes]]:
    """(kind, flags, serial, port, body) of each message."""
    offset = 0
    while offset + _HEADER.size <= len(data):
        size, kind, flags, serial, port = _HEADER.unpack_from(data, offset)
        if size < _HEADER.size:
            return
        yield kind, flags, serial, port, data[offset + _HEADER.size : offset + size]
        offset += size + (-size % 4)


def _raise_for(kind: int, flags: int, body: bytes) -> None:
    code = -int.from_bytes(body[:4], sys.byteorder, signed=True)
    if not code:
        return
    text = os.strerror(code)
    if kind == _ERROR and flags & _ACK_ATTRIBUTES:
        # what was asked is echoed before the attributes, in full unless the kernel says that it cut it short
        echoed = _HEADER.size if flags & _ACK_CAPPED else _HEADER.unpack_from(body, 4)[0]
        said = attributes(body, 4 + echoed + (-echoed % 4)).get(1, b"")
        text = said.rstrip(b"\0").decode(errors="replace") or text
    raise NetlinkError(code, text)
