"""What the kernel counts of a control group beside what is used now: by the names of cAdvisor's series.

Source: cAdvisor, `container/libcontainer/handler.go` and `metrics/prometheus.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from pylet.agent.kubelet import disk_counts
from pylet.agent.kubelet.usage import number, table

SERIES = {
    "container_cpu_cfs_periods_total": ("counter", "Number of elapsed enforcement period intervals."),
    "container_cpu_cfs_throttled_periods_total": ("counter", "Number of throttled period intervals."),
    "container_cpu_cfs_throttled_seconds_total": ("counter", "Total time duration the container has been throttled."),
    "container_cpu_user_seconds_total": ("counter", "Cumulative user cpu time consumed in seconds."),
    "container_cpu_system_seconds_total": ("counter", "Cumulative system cpu time consumed in seconds."),
    "container_memory_cache": ("gauge", "Number of bytes of page cache memory."),
    "container_memory_mapped_file": ("gauge", "Size of memory mapped files in bytes."),
    "container_memory_swap": ("gauge", "Container swap usage in bytes."),
    "container_memory_failcnt": ("counter", "Number of memory usage hits limits"),
    "container_memory_max_usage_bytes": ("gauge", "Maximum memory usage recorded in bytes"),
    "container_oom_events_total": ("counter", "Count of out of memory events observed for the container"),
    "container_threads": ("gauge", "Number of threads running inside the container"),
    "container_memory_failures_total": (
        "counter",
        "Cumulative count of memory allocation failures.",
        "failure_type",
        "scope",
    ),
    **disk_counts.SERIES,
}
"""By name: type, help and further labels."""

Counts = Mapping[str, float]
"""By the name of the series, and its further labels' values behind a `|` each."""
_FAILURES = "container_memory_failures_total"


def read_counts(mounted: Path, group: str, device: Callable[[str], str] = disk_counts.device) -> Counts:
    """Of either layout; what cannot be read is left out, and so is throttling where no quota is set."""
    group = group.lstrip("/")
    if (mounted / "cgroup.controllers").exists():
        found, disks = _v2(mounted / group), disk_counts.of_v2(_words(mounted / group / "io.stat"))
    else:
        found, disks = _v1(mounted, group), _disks_v1(mounted / "blkio" / group)
    known = {name: value for name, value in found.items() if value is not None}
    return known | disk_counts.disk_counts(disks, device)


def _v2(group: Path) -> dict[str, float | None]:
    cpu, memory, events = (table(group / name) for name in ("cpu.stat", "memory.stat", "memory.events"))
    found: dict[str, float | None] = {
        "container_cpu_user_seconds_total": _scaled(cpu.get("user_usec"), 1e6),
        "container_cpu_system_seconds_total": _scaled(cpu.get("system_usec"), 1e6),
        "container_memory_cache": memory.get("file"),
        "container_memory_mapped_file": memory.get("file_mapped"),
        "container_memory_swap": number(group / "memory.swap.current"),
        f"{_FAILURES}|pgfault|container": memory.get("pgfault"),
        f"{_FAILURES}|pgmajfault|container": memory.get("pgmajfault"),
        f"{_FAILURES}|pgfault|hierarchy": memory.get("pgfault"),
        f"{_FAILURES}|pgmajfault|hierarchy": memory.get("pgmajfault"),
        "container_memory_failcnt": events.get("max"),
        "container_memory_max_usage_bytes": number(group / "memory.peak"),
        "container_oom_events_total": events.get("oom_kill"),
        "container_threads": number(group / "pids.current"),
    }
    if (quota := _words(group / "cpu.max")) and not quota.startswith("max"):
        found |= _throttling(cpu, _scaled(cpu.get("throttled_usec"), 1e6))
    return found


def _v1(mounted: Path, group: str) -> dict[str, float | None]:
    of_memory = mounted / "memory" / group
    cpu, memory = table(mounted / "cpu" / group / "cpu.stat"), table(of_memory / "memory.stat")
    found: dict[str, float | None] = {
        "container_cpu_user_seconds_total": _scaled(number(mounted / "cpuacct" / group / "cpuacct.usage_user"), 1e9),
        "container_cpu_system_seconds_total": _scaled(number(mounted / "cpuacct" / group / "cpuacct.usage_sys"), 1e9),
        "container_memory_cache": memory.get("total_cache"),
        "container_memory_mapped_file": memory.get("total_mapped_file"),
        "container_memory_swap": memory.get("total_swap"),
        f"{_FAILURES}|pgfault|container": memory.get("pgfault"),
        f"{_FAILURES}|pgmajfault|container": memory.get("pgmajfault"),
        f"{_FAILURES}|pgfault|hierarchy": memory.get("total_pgfault"),
        f"{_FAILURES}|pgmajfault|hierarchy": memory.get("total_pgmajfault"),
        "container_memory_failcnt": number(of_memory / "memory.failcnt"),
        "container_memory_max_usage_bytes": number(of_memory / "memory.max_usage_in_bytes"),
        "container_oom_events_total": table(of_memory / "memory.oom_control").get("oom_kill"),
        "container_threads": number(mounted / "pids" / group / "pids.current"),
    }
    if (number(mounted / "cpu" / group / "cpu.cfs_quota_us") or 0) > 0:
        found |= _throttling(cpu, _scaled(cpu.get("throttled_time"), 1e9))
    return found


def _disks_v1(group: Path) -> Iterator[disk_counts.Count]:
    for unit, file in (("bytes", "io_service_bytes"), ("times", "io_serviced")):
        yield from disk_counts.of_v1(unit, _words(group / f"blkio.throttle.{file}_recursive"))


def _throttling(cpu: Mapping[str, int], seconds: float | None) -> dict[str, float | None]:
    return {
        "container_cpu_cfs_periods_total": cpu.get("nr_periods"),
        "container_cpu_cfs_throttled_periods_total": cpu.get("nr_throttled"),
        "container_cpu_cfs_throttled_seconds_total": seconds,
    }


def _scaled(value: int | None, by: float) -> float | None:
    return None if value is None else value / by


def _words(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""
