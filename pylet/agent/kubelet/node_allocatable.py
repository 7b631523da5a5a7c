"""How what is reserved is enforced: which groups of the machine are held to their part, and whether pods are to theirs.

Source: upstream `pkg/kubelet/cm/node_container_manager_linux.go`, `pkg/kubelet/apis/config/validation/validation.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pylet.api.quantity import NANOS, Quantity

PODS = "pods"
ENFORCED, NOT_ENFORCED = "NodeAllocatableEnforced", "FailedNodeAllocatableEnforcement"
"""Reasons of Events about the node."""
_NONE, _COMPRESSIBLE = "none", "-compressible"
_RESERVED = (("system-reserved", "systemReserved"), ("kube-reserved", "kubeReserved"))
_WAYS = (PODS, *(name + what for name, _ in _RESERVED for what in ("", _COMPRESSIBLE)), _NONE)


@dataclass(frozen=True, slots=True)
class Kept:
    """A group that is not the pods', whose it is ("system" or "kube"), and what is reserved for it."""

    whose: str
    group: str
    amounts: tuple[tuple[str, Quantity], ...]


def ways(found: Any) -> tuple[str, ...]:
    """`enforceNodeAllocatable`. Raises: ValueError."""
    names = tuple(str(name) for name in found)
    if unknown := [name for name in names if name not in _WAYS]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(_WAYS)}")
    if len({*names}) < len(names):
        raise ValueError(f"{', '.join(names)} has one twice")
    if _NONE in names and len(names) > 1:
        raise ValueError(f'may not contain additional enforcements when "{_NONE}" is specified')
    return names


def kept(value: Mapping[str, Any]) -> tuple[Kept, ...]:
    """Of a whole configuration. Raises: ValueError."""
    asked, found = value.get("enforceNodeAllocatable", (PODS,)), []
    for name, field in _RESERVED:
        group, amounts = value.get(f"{field}Cgroup", ""), tuple(value.get(field, ()))
        if group and "reservedSystemCPUs" in value:
            raise ValueError(f"can't use reservedSystemCPUs with {field}Cgroup")
        here = [way for way in (name, name + _COMPRESSIBLE) if way in asked]
        if not here:
            continue
        if len(here) > 1:
            raise ValueError(f'both "{name}" and "{here[1]}" cannot be specified together in enforceNodeAllocatable')
        if not group:
            raise ValueError(f'{field}Cgroup must be specified when "{here[0]}" included in enforceNodeAllocatable')
        held = amounts if here == [name] else tuple(each for each in amounts if each[0] == "cpu")
        found.append(Kept(name.removesuffix("-reserved"), group, held))
    return tuple(found)


def files(of: Kept, *, is_v2: bool) -> Iterator[tuple[str, str]]:
    """What is written where, from where groups are mounted."""
    from pylet.agent.kubelet.cgroups import weight
    from pylet.agent.kubelet.resources import shares

    group = of.group.strip("/")
    for resource, amount in of.amounts:
        match resource:
            case "cpu" if is_v2:
                yield f"{group}/cpu.weight", str(weight(shares(amount.nanos // 1_000_000)))
            case "cpu":
                yield f"cpu/{group}/cpu.shares", str(shares(amount.nanos // 1_000_000))
            case "memory":
                file = f"{group}/memory.max" if is_v2 else f"memory/{group}/memory.limit_in_bytes"
                yield file, str(amount.nanos // NANOS)
            case "pid":
                yield f"{group}/pids.max" if is_v2 else f"pids/{group}/pids.max", str(amount.nanos // NANOS)


def enforce(groups: Iterable[Kept], mounted: Path = Path("/sys/fs/cgroup")) -> None:
    """Groups are never made: who names one that is not there has misnamed it. Raises: OSError."""
    is_v2 = (mounted / "cgroup.controllers").exists()
    for each in groups:
        for file, text in files(each, is_v2=is_v2):
            with (mounted / file).open("r+") as opened:
                opened.write(text)
