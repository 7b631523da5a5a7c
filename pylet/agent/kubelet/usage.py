"""What groups of processes use: counters read from the cgroup files of either layout, and the node's own."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from pylet.agent.kubelet.machine import meminfo

Pressure = Mapping[str, Mapping[str, Mapping[str, float]]]
"""How long "some" or all ("full") processes waited for "cpu", "memory" and "io": of late, and in `total` (µs)."""


@dataclass(frozen=True, slots=True)
class Usage:
    """`cpu_nanoseconds` only grows; None is what nobody knows."""

    at: datetime
    cpu_nanoseconds: int | None = None
    memory_bytes: int | None = None
    working_set_bytes: int | None = None
    rss_bytes: int | None = None
    page_faults: int | None = None
    major_page_faults: int | None = None
    pressure: Pressure = field(default_factory=dict)
    swap_bytes: int | None = None
    swap_limit_bytes: int | None = None


def read_usage(mounted: Path, group: str, at: datetime) -> Usage:
    """Of `group` below the mount of the cgroups; what cannot be read is None."""
    inside = group.lstrip("/")
    if (mounted / "cgroup.controllers").exists():
        directory = mounted / inside
        micros = table(directory / "cpu.stat").get("usage_usec")
        stat, used = table(directory / "memory.stat"), number(directory / "memory.current")
        if used is None and stat:  # the root has no such file; v1 counts these two
            used = stat.get("anon", 0) + stat.get("file", 0)
        rss, inactive = stat.get("anon"), stat.get("inactive_file", 0)
        cpu = None if micros is None else micros * 1000
    else:
        cpu = number(mounted / "cpuacct" / inside / "cpuacct.usage")
        stat = table(mounted / "memory" / inside / "memory.stat")
        used = number(mounted / "memory" / inside / "memory.usage_in_bytes")
        rss, inactive = stat.get("total_rss"), stat.get("total_inactive_file", 0)
    working_set = None if used is None else max(0, used - inactive)
    faults, major = stat.get("pgfault"), stat.get("pgmajfault")  # of v1 without those of groups below, as upstream
    return Usage(
        at, cpu, used, working_set, rss, faults, major, read_pressure(mounted, group), *read_swap(mounted, group)
    )


def own_group(mounted: Path, listed: str) -> str | None:
    """The group that counts what this process uses, as `/proc/self/cgroup` lists it; None where there are several.

    Source: upstream `pkg/kubelet/cm/container_manager_linux.go`, getContainer.
    """
    groups = {}
    for line in listed.splitlines():
        _, controllers, group = line.split(":", 2)
        groups.update(dict.fromkeys(controllers.split(","), group))
    if (mounted / "cgroup.controllers").exists():
        return groups.get("")
    if groups.get("cpu") != groups.get("memory"):
        return None
    return groups.get("name=systemd", groups.get("cpu"))


def read_swap(mounted: Path, group: str) -> tuple[int | None, int | None]:
    """How much of the group is swapped out, and how much may be, which v1 does not say. v2's root is the machine."""
    inside = group.lstrip("/")
    if not (mounted / "cgroup.controllers").exists():
        return table(mounted / "memory" / inside / "memory.stat").get("total_swap"), None
    if inside:
        return number(mounted / inside / "memory.swap.current"), number(mounted / inside / "memory.swap.max")
    memory = meminfo()
    return memory["SwapTotal"] - memory["SwapFree"], memory["SwapTotal"]


def read_pressure(mounted: Path, group: str) -> Pressure:
    """Nothing on v1 or where the kernel does not count it."""
    found = {}
    for resource in ("cpu", "memory", "io"):
        with suppress(OSError):
            lines = (mounted / group.lstrip("/") / f"{resource}.pressure").read_text().splitlines()
            found[resource] = {who: _stalled(values) for who, *values in map(str.split, lines)}
    return found


def _stalled(values: list[str]) -> dict[str, float]:
    """Of a line `some avg10=0.12 … total=345`."""
    pairs = (value.split("=") for value in values)
    return {name: int(value) if name == "total" else float(value) for name, value in pairs}


@dataclass(frozen=True, slots=True)
class Traffic:
    """Of one network interface, since it was made."""

    name: str
    rx_bytes: int
    rx_errors: int
    tx_bytes: int
    tx_errors: int
    rx_packets: int = 0
    rx_dropped: int = 0
    tx_packets: int = 0
    tx_dropped: int = 0


def read_processes(mounted: Path, group: str) -> int | None:
    """How many processes and threads the group has."""
    tree = mounted if (mounted / "cgroup.controllers").exists() else mounted / "pids"
    return number(tree / group.lstrip("/") / "pids.current")


def a_process(mounted: Path, group: str) -> int | None:
    """Any process of a group below this one: all containers of a pod share its network."""
    tree = mounted if (mounted / "cgroup.controllers").exists() else mounted / "memory"
    for procs in (tree / group.lstrip("/")).glob("*/cgroup.procs"):
        with suppress(OSError, IndexError):
            return int(procs.read_text().split(maxsplit=1)[0])
    return None


def read_traffic(process: int | str) -> tuple[Traffic, ...]:
    """Of the network that a process sees ("self" is this one's), loopback left out."""
    try:
        lines = Path(f"/proc/{process}/net/dev").read_text().splitlines()[2:]
    except OSError:
        return ()
    found = []
    for line in lines:
        name, _, counters = line.partition(":")
        values = [int(value) for value in counters.split()]
        totals = (values[0], values[2], values[8], values[10])
        found.append(Traffic(name.strip(), *totals, values[1], values[3], values[9], values[11]))
    return tuple(traffic for traffic in found if traffic.name != "lo")


def number(path: Path) -> int | None:
    try:
        return int(path.read_text())
    except (OSError, ValueError):
        return None


def table(path: Path) -> dict[str, int]:
    try:
        lines = [line.split() for line in path.read_text().splitlines()]
    except OSError:
        return {}
    return {name: int(value) for name, value in (line for line in lines if len(line) == 2)}
