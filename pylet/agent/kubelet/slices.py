"""Slices of systemd: made, limited and ended as upstream's kubelet has it done, by systemd's own tools.

What systemd is told of limits it writes again whenever it looks through its groups. Loaded with the driver "systemd".
Source: `github.com/opencontainers/cgroups/systemd` (v1.go, v2.go, common.go), which upstream's kubelet uses.
"""

from __future__ import annotations

import asyncio
import subprocess
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterable, Iterator
from itertools import chain

from pylet.cri.messages import LinuxResources

_MANAGER = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager")
_NO_LIMIT = (1 << 64) - 1
_QUOTA_STEP_MICROS = 10_000

Property = tuple[str, ...]
"""Name, signature and value, as busctl takes them."""


async def ensure(group: str, properties: Iterable[Property]) -> None:
    """See to it that there is this slice, and that it is limited so. Raises: OSError."""
    parent, name = group.split("/")[-2:]
    wanted = tuple(properties)
    whole = _array((*_described(name, parent), *wanted))
    if not await _refused("StartTransientUnit", "ssa(sv)a(sa(sv))", name, "replace", *whole, "0"):
        return
    if words := await _refused("SetUnitProperties", "sba(sv)", name, "true", *_array(wanted)):  # it was there already
        raise OSError(f"unable to start unit {name}: {words}")


def stop(name: str) -> None:
    """With all that runs in it, for which it waits; one that is gone is fine."""
    subprocess.run(["systemctl", "stop", name], check=False, stdin=DEVNULL, stdout=DEVNULL, stderr=DEVNULL)


def limits(resources: LinuxResources, weight: int | None, pids: int) -> Iterator[Property]:
    """`weight` is of v2, None on v1; `pids` not above 0 are no limit."""
    if weight is None:
        yield "CPUShares", "t", str(resources.cpu_shares)
        yield "MemoryLimit", "t", str(resources.memory_limit_in_bytes or _NO_LIMIT)
    else:
        yield "CPUWeight", "t", str(weight)
        yield "MemoryMax", "t", str(resources.memory_limit_in_bytes or _NO_LIMIT)
    yield "CPUQuotaPeriodUSec", "t", str(resources.cpu_period)
    yield "CPUQuotaPerSecUSec", "t", str(_quota(resources))
    if pids > 0:
        yield "TasksMax", "t", str(pids)


def _quota(resources: LinuxResources) -> int:
    """Microseconds a second, in systemd's steps."""
    if resources.cpu_quota <= 0:
        return _NO_LIMIT
    micros = resources.cpu_quota * 1_000_000 // resources.cpu_period
    return -(-micros // _QUOTA_STEP_MICROS) * _QUOTA_STEP_MICROS


def _described(name: str, parent: str) -> Iterator[Property]:
    yield "Description", "s", f"pods {name}"
    if parent:
        yield "Wants", "as", "1", parent
    for what in ("CPU", "Memory", "IO", "Tasks"):
        yield f"{what}Accounting", "b", "true"
    yield "DefaultDependencies", "b", "false"


def _array(properties: tuple[Property, ...]) -> Iterator[str]:
    return chain((str(len(properties)),), chain.from_iterable(properties))


async def _refused(method: str, signature: str, *words: str) -> str:
    """What systemd has against it; nothing if it does it. Raises: OSError."""
    command = ("busctl", "--quiet", "call", *_MANAGER, method, signature, *words)
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE)
    _, told = await process.communicate()
    return (told.decode().strip() or f"exit status {process.returncode}") if process.returncode else ""
