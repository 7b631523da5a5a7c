"""What a control group may use, and what its processes hold open: by the names of cAdvisor's series.

Source: cAdvisor, `container/common/helpers.go` (getSpecInternal) and `container/libcontainer/handler.go`
(processStatsFromProcs).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet.group_counts import Counts
from pylet.agent.kubelet.usage import number

SERIES = {
    "container_spec_cpu_period": ("gauge", "CPU period of the container."),
    "container_spec_cpu_quota": ("gauge", "CPU quota of the container."),
    "container_spec_cpu_shares": ("gauge", "CPU share of the container."),
    "container_spec_memory_limit_bytes": ("gauge", "Memory limit for the container."),
    "container_spec_memory_reservation_limit_bytes": ("gauge", "Memory reservation limit for the container."),
    "container_spec_memory_swap_limit_bytes": ("gauge", "Memory swap limit for the container."),
    "container_threads_max": (
        "gauge",
        "Maximum number of threads allowed inside the container, infinity if value is zero",
    ),
    "container_processes": ("gauge", "Number of processes running inside the container."),
    "container_file_descriptors": ("gauge", "Number of open file descriptors for the container."),
    "container_sockets": ("gauge", "Number of open sockets for the container."),
    "container_ulimits_soft": (
        "gauge",
        "Soft ulimit values for the container root process. Unlimited if -1, except priority and nice",
        "ulimit",
    ),
}
"""By name: type, help and further labels."""
_UNLIMITED = 1 << 62


def read_bounds(mounted: Path, group: str) -> Counts:
    """Of either layout; nothing of a group that is not there, and no quota where nobody is held back."""
    inside = group.lstrip("/")
    if (mounted / "cgroup.controllers").exists():
        group_, pids = mounted / inside, mounted / inside
        found = dict(_v2(group_))
    else:
        group_, pids = mounted / "cpu" / inside, mounted / "pids" / inside
        found = dict(_v1(mounted, inside))
    if not group_.is_dir():
        return {}
    with suppress(OSError):  # it may have gone by now
        found |= _processes(group_ / "cgroup.procs")
    return {**found, "container_threads_max": _bound(pids / "pids.max")}


def _v2(group: Path) -> Iterator[tuple[str, float]]:
    with suppress(OSError, ValueError):
        quota, period = (group / "cpu.max").read_text().split()
        yield "container_spec_cpu_period", int(period)
        if quota != "max":
            yield "container_spec_cpu_quota", int(quota)
    if weight := number(group / "cpu.weight"):
        yield "container_spec_cpu_shares", 2 + (weight - 1) * 262142 // 9999
    files = {"limit": "memory.max", "reservation_limit": "memory.min", "swap_limit": "memory.swap.max"}
    for name, file in files.items():
        yield f"container_spec_memory_{name}_bytes", _bound(group / file)


def _v1(mounted: Path, group: str) -> Iterator[tuple[str, float]]:
    cpu, memory = mounted / "cpu" / group, mounted / "memory" / group
    for name, file in (("period", "cpu.cfs_period_us"), ("quota", "cpu.cfs_quota_us"), ("shares", "cpu.shares")):
        if (value := number(cpu / file)) is not None and value > 0:
            yield f"container_spec_cpu_{name}", value
    files = {"limit": "limit", "reservation_limit": "soft_limit", "swap_limit": "memsw.limit"}
    for name, file in files.items():
        yield f"container_spec_memory_{name}_bytes", _bound(memory / f"memory.{file}_in_bytes")


def _bound(file: Path) -> int:
    """0 is none."""
    found = number(file) or 0
    return found if found <= _UNLIMITED else 0


def _processes(procs: Path) -> Iterator[tuple[str, float]]:
    found = procs.read_text().split()
    links = [link for process in found for link in _open_files(Path(f"/proc/{process}/fd"))]
    yield "container_processes", len(found)
    yield "container_file_descriptors", len(links)
    yield "container_sockets", sum(link.startswith("socket") for link in links)
    for process in found[:1]:
        if (limit := _open_files_limit(Path(f"/proc/{process}/limits"))) is not None:
            yield "container_ulimits_soft|max_open_files", limit


def _open_files(directory: Path) -> Iterator[str]:
    with suppress(OSError):
        for file in os.listdir(directory):
            try:
                yield os.readlink(directory / file)
            except OSError:  # closed meanwhile
                yield ""


def _open_files_limit(file: Path) -> int | None:
    with suppress(OSError):
        for line in file.read_text().splitlines():
            if line.startswith("Max open files"):
                soft = line.split()[3]
                return -1 if soft == "unlimited" else int(soft)
    return None
