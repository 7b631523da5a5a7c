"""Conntrack's flows towards services over UDP and SCTP: those whose endpoint has gone are forgotten.

Without connections nothing ends a flow but silence: a client that keeps talking would never be sent to another
endpoint, nor one that talked before the service had any. What has no endpoint left is kept, as upstream does.
Sources: linux/netfilter/nfnetlink_conntrack.h; pkg/proxy/conntrack/cleanup.go, cmd/kube-proxy/app/conntrack.go.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path

from pylet.agent import netlink
from pylet.agent.netlink import Netlink, attribute, attributes, nested
from pylet.agent.proxy.model import Frontend

_GET, _DELETE = 0x101, 0x102
_ORIGINAL, _REPLY, _ID, _FILTER = 1, 2, 12, 25
_IP, _PROTO = 1, 2
_PROTO_NUMBER, _SOURCE_PORT, _TARGET_PORT = 1, 2, 3
_BY_ADDRESS, _BY_PROTOCOL, _BY_PORT = 1 << 1, 1 << 3, 1 << 5
_AF = {4: 2, 6: 10}
_NUMBERS = {"udp": 17, "sctp": 132}

_SETTINGS = Path("/proc/sys/net/netfilter")
_SECONDS = {"nf_conntrack_tcp_timeout_established": 86400, "nf_conntrack_tcp_timeout_close_wait": 3600}
_MOST, _MOST_A_CPU = 131072, 32768


def set_limits() -> None:
    """How long the kernel remembers connections, and how many: as on every node of a cluster. Raises: OSError."""
    for name, seconds in _SECONDS.items():
        if (file := _SETTINGS / name).read_text().strip() != str(seconds):
            file.write_text(str(seconds))
    most, file = max(_MOST, _MOST_A_CPU * (os.cpu_count() or 1)), _SETTINGS / "nf_conntrack_max"
    if int(file.read_text()) < most:
        file.write_text(str(most))


def forget_stale(frontends: Iterable[Frontend]) -> int:
    """Delete the flows to these frontends that go on to none of their serving endpoints; how many. Raises: OSError."""
    count = 0
    with Netlink(netlink.NETFILTER) as kernel:
        for frontend in frontends:
            if frontend.protocol in _NUMBERS and frontend.serving:
                for flow in _stale(kernel, frontend):
                    try:
                        kernel.call(_DELETE, flow)
                        count += 1
                    except FileNotFoundError:
                        pass  # it ended by itself
    return count


def _stale(kernel: Netlink, frontend: Frontend) -> list[bytes]:
    """What deletes each of the flows."""
    header = bytes((_AF[frontend.family], 0, 0, 0))
    number, port = _NUMBERS[frontend.protocol], struct.pack("!H", frontend.port)
    address = ip_address(frontend.address).packed if frontend.address else b""
    target = 2 if frontend.family == 4 else 4
    asked = nested(
        _ORIGINAL,
        nested(_IP, attribute(target, address)) if address else b"",
        nested(_PROTO, attribute(_PROTO_NUMBER, bytes((number,))), attribute(_TARGET_PORT, port)),
    )
    flags = _BY_PROTOCOL | _BY_PORT | (_BY_ADDRESS if address else 0)
    only = nested(_FILTER, attribute(1, struct.pack("=I", flags)), attribute(2, struct.pack("=I", 0)))
    return [
        header + nested(_ORIGINAL, flow[_ORIGINAL]) + (attribute(_ID, flow[_ID]) if _ID in flow else b"")
        for flow in _flows(kernel, header + asked + only)
        # a kernel before 5.8 leaves the choosing to us
        if _matches(flow[_ORIGINAL], target, address, number, port) and _answers(flow, frontend) not in frontend.serving
    ]


def _flows(kernel: Netlink, body: bytes) -> Iterator[dict[int, bytes]]:
    for message in kernel.dump(_GET, body):
        yield attributes(message.body, 4)


def _matches(original: bytes, target: int, address: bytes, number: int, port: bytes) -> bool:
    parts = attributes(original)
    proto = attributes(parts[_PROTO])
    return (
        proto[_PROTO_NUMBER] == bytes((number,))
        and proto.get(_TARGET_PORT) == port
        and (not address or attributes(parts[_IP])[target] == address)
    )


def _answers(flow: dict[int, bytes], frontend: Frontend) -> tuple[str, int]:
    """Who answers: the source of the reply."""
    parts = attributes(flow[_REPLY])
    source = attributes(parts[_IP])[1 if frontend.family == 4 else 3]
    return str(ip_address(source)), int.from_bytes(attributes(parts[_PROTO])[_SOURCE_PORT])
