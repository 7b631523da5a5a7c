"""The kernel's nftables, spoken to in nft's language: one script is one transaction.

In the process through libnftables for a change, in a child for a full load, whose memory goes with it: with 5,000
services of 3 endpoints (1.1 MB of script) libnftables leaves 50 MiB behind. Measured there: a full load 0.24-0.31 s,
one service changed 12-23 ms (libnftables reads the ruleset before each script; it is 2.6 ms on a small one).
"""

from __future__ import annotations

import ctypes
import functools
import shutil
import struct
import subprocess
from collections.abc import Callable

from pylet.agent import netlink
from pylet.agent.netlink import Message, Netlink, Subscription, attribute, attributes

_SUBSYSTEM = 10 << 8
_GET_RULE, _DELETE_TABLE, _DELETE_CHAIN, _DELETE_RULE = (_SUBSYSTEM | number for number in (7, 2, 5, 8))
_GROUP = 7
_INET = 1
_LARGE_BYTES = 64 << 10
_HEADER = struct.Struct("=BBH")


class NftError(Exception):
    """The kernel or nft refused a script; nothing of it took effect."""


def apply(script: str) -> None:
    """Run one transaction. Blocks; safe in a thread. Raises: NftError."""
    library = _library()
    if library is None or (len(script) > _LARGE_BYTES and shutil.which("nft")):
        return _fork(script)
    context = library.nft_ctx_new(0)
    try:
        library.nft_ctx_buffer_output(context)
        library.nft_ctx_buffer_error(context)
        if library.nft_run_cmd_from_buffer(context, script.encode()):
            raise NftError(_first_line(library.nft_ctx_get_error_buffer(context).decode(errors="replace")))
    finally:
        library.nft_ctx_free(context)


def remove(table: str) -> None:
    """Remove the table and all it holds, if it is there. Raises: NftError."""
    apply(f"add table inet {table}\ndelete table inet {table}\n")


def rule_count(table: str) -> int:
    """How many rules the kernel has in the table; 0 where the table is gone."""
    body = _HEADER.pack(_INET, 0, 0) + attribute(1, table.encode() + b"\0")
    with Netlink(netlink.NETFILTER) as kernel:
        return sum(_table_of(message) == table for message in kernel.dump(_GET_RULE, body))


def watch_losses(table: str, lost: Callable[[], None]) -> Subscription:
    """Call `lost` when rules of the table may have gone (by whoever's hand; our own changes are heard too)."""

    def heard(message: Message | None) -> None:
        gone = message is None or message.kind in (_DELETE_TABLE, _DELETE_CHAIN, _DELETE_RULE)
        if gone and (message is None or _table_of(message) == table):
            lost()

    return Subscription(netlink.NETFILTER, (_GROUP,), heard)


def _table_of(message: Message) -> str:
    return attributes(message.body, _HEADER.size).get(1, b"").rstrip(b"\0").decode()


def _fork(script: str) -> None:
    try:
        done = subprocess.run(["nft", "-f", "-"], input=script, text=True, capture_output=True)
    except FileNotFoundError as error:
        raise NftError("neither libnftables nor nft is installed: install the package nftables") from error
    if done.returncode:
        raise NftError(_first_line(done.stderr))


def _first_line(text: str) -> str:
    """nft quotes the line in question below the message; with 1,000 elements that is long."""
    return text.strip().split("\n")[0][:300] or "refused without a reason"


@functools.cache
def _library() -> ctypes.CDLL | None:
    try:
        library = ctypes.CDLL("libnftables.so.1")
    except OSError:
        return None
    library.nft_ctx_new.restype = ctypes.c_void_p
    library.nft_ctx_new.argtypes = [ctypes.c_uint32]
    library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
    for name in ("nft_ctx_buffer_output", "nft_ctx_buffer_error", "nft_ctx_get_error_buffer", "nft_ctx_free"):
        getattr(library, name).argtypes = [ctypes.c_void_p]
    library.nft_run_cmd_from_buffer.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
    return library
