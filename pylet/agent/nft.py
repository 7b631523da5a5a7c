"""The kernel's nftables: rules by `nft`, elements of sets and maps over netlink.

Rules are few and written at the start, so that a child that speaks nft's language does it. Elements change all the
time: they go straight to the kernel, one batch of messages being one transaction (0.1-0.5 ms for a change, against
12-23 ms through libnftables, which reads the whole ruleset first and keeps 50 MiB once it has seen 5,000 services).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import struct
import subprocess
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import IO

from pylet.agent import netlink, nftset
from pylet.agent.netlink import ACK, APPEND, CREATE, Message, Netlink, Subscription, attribute, attributes, nested
from pylet.agent.nftset import Batch, Element, SetType

_SUBSYSTEM = 10
_NEW_RULE = _SUBSYSTEM << 8 | 6
_NEW_ELEMENT, _GET_ELEMENT, _DELETE_ELEMENT = (_SUBSYSTEM << 8 | number for number in (12, 13, 14))
_LOSSES = {_SUBSYSTEM << 8 | number for number in (2, 5, 8, 11, 14)}  # of a table, chain, rule, set, element
_BEGIN, _END = 16, 17
_GROUP = 7
_LOUD_BYTES = 16 << 10
_UNSPEC, _INET = 0, 1
_HEADER = struct.Struct("!BBH")
_VERBS = {nftset.ADD: (_NEW_ELEMENT, CREATE), nftset.DELETE: (_DELETE_ELEMENT, 0), nftset.FLUSH: (_DELETE_ELEMENT, 0)}


class NftError(Exception):
    """The kernel or nft refused a transaction; nothing of it took effect."""


class Table:
    """One table of the family inet, which this process alone changes."""

    def __init__(self, name: str, types: dict[str, SetType]) -> None:
        self.name = name
        self._types = types
        self._kernel = Netlink(netlink.NETFILTER)
        self._children: deque[int] = deque(maxlen=4)
        self._subscription: Subscription | None = None

    def close(self) -> None:
        self._kernel.close()

    async def run(self, script: str) -> None:
        """Run nft's own language, one transaction. Raises: NftError."""
        with self._unheard(len(script)), _file(script) as source:
            # Not through the event loop: uvloop forks, which copies this process's page tables; Popen has vfork.
            child = _start(source)
            self._children.append(child.pid)  # its socket has this port
            _, complaint = await asyncio.to_thread(child.communicate)
        if child.returncode:
            raise NftError(_first_line(complaint) or f"nft ended with {child.returncode}")

    def batch(self) -> Batch:
        return Batch(self.name, self._types)

    def apply(self, batch: Batch) -> None:
        """One transaction. Raises: NftError."""
        header = _HEADER.pack(_INET, 0, 0)
        self._send([(*_VERBS[verb], header + body) for verb, body in batch.messages()], batch.size)

    def add_rules(self, rules: Mapping[str, bytes]) -> None:
        """One transaction: to each chain, at its end, a rule of these expressions. Raises: NftError."""
        header = _HEADER.pack(_INET, 0, 0) + _named(1, self.name)
        bodies = [
            (_NEW_RULE, CREATE | APPEND, header + _named(2, chain) + nested(4, expressions))
            for chain, expressions in rules.items()
        ]
        self._send(bodies, 0)

    def _send(self, bodies: list[tuple[int, int, bytes]], size: int) -> None:
        if not bodies:
            return
        kind, flags, body = bodies[-1]
        bodies[-1] = kind, flags | ACK, body
        begin, end = ((kind, 0, _HEADER.pack(_UNSPEC, 0, _SUBSYSTEM)) for kind in (_BEGIN, _END))
        try:
            with self._unheard(size):
                self._kernel.batch((begin, *bodies, end))
        except OSError as refused:
            raise NftError(f"table {self.name}: {refused.strerror or refused}") from refused

    def change(self, delete: Iterable[Element], add: Iterable[Element]) -> None:
        """One transaction. Raises: NftError."""
        batch = self.batch()
        batch.delete(delete)
        batch.add(add)
        self.apply(batch)

    def elements(self, name: str) -> list[tuple[bytes, bytes]]:
        """Keys and values of a set as the kernel has them. Raises: NftError."""
        body = _HEADER.pack(_INET, 0, 0) + _named(1, self.name) + _named(2, name)
        try:
            parts = [
                attributes(message.body, _HEADER.size).get(3, b"") for message in self._kernel.dump(_GET_ELEMENT, body)
            ]
        except OSError as refused:
            raise NftError(f"table {self.name}: {refused.strerror or refused}") from refused
        return [(_data(of, 1), _data(of, 2)) for part in parts for of in map(attributes, netlink.payloads(part))]

    @contextlib.contextmanager
    def watch_losses(self, lost: Callable[[], None]) -> Iterator[None]:
        """Call `lost` when something of the table went, or may have gone, and not by this process's own hand."""
        own = self._kernel.port

        def heard(message: Message | None) -> None:
            if message is None or (
                message.kind in _LOSSES and message.port not in (own, *self._children) and _table(message) == self.name
            ):
                lost()

        with Subscription(netlink.NETFILTER, (_GROUP,), heard) as self._subscription:
            yield
        self._subscription = None

    @contextlib.contextmanager
    def _unheard(self, size: int) -> Iterator[None]:
        """Not to hear of a change so large that its notifications would push others' out of the socket."""
        if self._subscription is None or size < _LOUD_BYTES:
            yield
            return
        self._subscription.leave(_GROUP)
        try:
            yield
        finally:
            self._subscription.join(_GROUP)


def remove(table: str) -> None:
    """Remove the table and all it holds, if it is there. Raises: NftError."""
    with _file(f"add table inet {table}\ndelete table inet {table}\n") as source:
        child = _start(source)
        _, complaint = child.communicate()
    if child.returncode:
        raise NftError(_first_line(complaint) or f"nft ended with {child.returncode}")


def _start(source: IO[bytes]) -> subprocess.Popen[str]:
    try:
        return subprocess.Popen(
            ["nft", "-f", "-"], stdin=source, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
    except FileNotFoundError as error:
        raise NftError("nft is not installed: install the package nftables") from error


def _named(kind: int, name: str) -> bytes:
    return attribute(kind, f"{name}\0".encode())


def _data(of: dict[int, bytes], kind: int) -> bytes:
    return attributes(of.get(kind, b"")).get(1, b"")


def _table(message: Message) -> str:
    return attributes(message.body, _HEADER.size).get(1, b"").rstrip(b"\0").decode()


def _file(script: str) -> IO[bytes]:
    """In memory, for a child to read: a pipe may break while it is still being filled."""
    source = os.fdopen(os.memfd_create("nft"), "w+b")
    source.write(script.encode())
    source.seek(0)
    return source


def _first_line(text: str) -> str:
    """nft quotes the line in question below the message, which may be long."""
    return text.strip().split("\n")[0][:300]
