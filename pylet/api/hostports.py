"""Ports of the node that pods ask for, and which cannot be had together. Pure.

Source: upstream `pkg/scheduler/framework/types.go` (HostPortInfo).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pylet.api.containers import lasting
from pylet.api.object import Object

HostPort = tuple[str, str, int]
"""(address, protocol, port); address 0.0.0.0 stands for all."""

_ALL = "0.0.0.0"


def host_ports(spec: Object) -> Iterator[HostPort]:
    for container in lasting(spec):
        for port in container.get("ports") or ():
            if port.get("hostPort"):
                yield port.get("hostIP") or _ALL, port.get("protocol", "TCP"), int(port["hostPort"])


def collide(taken: Iterable[HostPort], wanted: Iterable[HostPort]) -> bool:
    wanted = list(wanted)
    return any(
        one[1:] == other[1:] and (one[0] == other[0] or _ALL in (one[0], other[0])) for one in taken for other in wanted
    )
