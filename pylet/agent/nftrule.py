"""Rules as the kernel's bytes, where nft 1.0.6 ends on an assertion: it reserves 16 bytes for the key of an `update`.

Pure. What is loaded stands in 4-byte registers, one field after the other. Source: linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import struct

from pylet.agent.netlink import attribute, nested

_FIRST_REGISTER = 8  # NFT_REG32_00
_UPDATE = 1
_L4PROTO = 16  # of meta
_PROTO_DST, _SRC_IP6, _DST_IP6 = 12, 21, 22  # of ct
_NETWORK, _TRANSPORT = 1, 2  # headers
_ORIGINAL = b"\0"


def remember_ip6(map_name: str, seconds: int) -> bytes:
    """`update @map { ct original ip6 saddr . ct original ip6 daddr . meta l4proto . ct original proto-dst timeout …s
    : ip6 daddr . th dport }`, for any protocol: a rule's list of expressions."""
    key = _FIRST_REGISTER
    value = key + 10
    return b"".join(
        (
            _expression("ct", (1, key), (2, _SRC_IP6), (3, _ORIGINAL)),
            _expression("ct", (1, key + 4), (2, _DST_IP6), (3, _ORIGINAL)),
            _expression("meta", (1, key + 8), (2, _L4PROTO)),
            _expression("ct", (1, key + 9), (2, _PROTO_DST), (3, _ORIGINAL)),
            _expression("payload", (1, value), (2, _NETWORK), (3, 24), (4, 16)),
            _expression("payload", (1, value + 4), (2, _TRANSPORT), (3, 2), (4, 2)),
            _expression(
                "dynset",
                (1, f"{map_name}\0".encode()),
                (3, _UPDATE),
                (4, key),
                (5, value),
                (6, struct.pack("!Q", seconds * 1000)),
            ),
        )
    )


def _expression(name: str, *parts: tuple[int, int | bytes]) -> bytes:
    data = (attribute(kind, part if isinstance(part, bytes) else struct.pack("!I", part)) for kind, part in parts)
    return nested(1, attribute(1, f"{name}\0".encode()), nested(2, *data))
