"""Ports of the node that pods ask for, and which cannot be had together. Pure.

Source: upstream `pkg/scheduler/framework/types.go` (HostPortInfo).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pylet.api.containers import lasting
from pylet.api.object import Object, dig

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


def serves_as_node(pod: Object, address: str, port: int) -> bool:
    """Whether a pod runs in its node's network, at that address of the node's, and says that it listens there (TCP)."""
    return (
        bool(pod["spec"].get("hostNetwork"))
        and dig(pod, "status", "phase") == "Running"
        and any(ip["ip"] == address for ip in dig(pod, "status", "podIPs", default=()))
        and any((protocol, number) == ("TCP", port) for _, protocol, number in host_ports(pod["spec"]))
    )
