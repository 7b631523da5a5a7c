"""What the kernel counts of a control group's disks, by the names of cAdvisor's series.

Source: cAdvisor, `metrics/prometheus.go`; opencontainers/cgroups, `fs/blkio.go` and `fs2/io.go`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

_USAGE = "container_blkio_device_usage_total"
SERIES = {
    "container_fs_reads_bytes_total": ("counter", "Cumulative count of bytes read", "device"),
    "container_fs_writes_bytes_total": ("counter", "Cumulative count of bytes written", "device"),
    "container_fs_reads_total": ("counter", "Cumulative count of reads completed", "device"),
    "container_fs_writes_total": ("counter", "Cumulative count of writes completed", "device"),
    _USAGE: ("counter", "Blkio Device bytes usage", "device", "major", "minor", "operation"),
}
"""By name: type, help and further labels."""
_NAMES = {
    ("bytes", "Read"): "container_fs_reads_bytes_total",
    ("bytes", "Write"): "container_fs_writes_bytes_total",
    ("times", "Read"): "container_fs_reads_total",
    ("times", "Write"): "container_fs_writes_total",
}
_V2 = {"rbytes": ("bytes", "Read"), "wbytes": ("bytes", "Write"), "rios": ("times", "Read"), "wios": ("times", "Write")}


class Count(NamedTuple):
    """`disk` is "major:minor", `unit` "bytes" or "times"."""

    disk: str
    unit: str
    operation: str
    value: int


def of_v1(unit: str, file: str) -> Iterator[Count]:
    """Of a `blkio.throttle.*_recursive`; its last line has the sum of all disks."""
    for line in file.splitlines():
        match line.split():
            case [disk, operation, value]:
                yield Count(disk, unit, operation, int(value))


def of_v2(file: str) -> Iterator[Count]:
    """Of an `io.stat`."""
    for line in file.splitlines():
        disk, *pairs = line.split()
        for key, _, value in (pair.partition("=") for pair in pairs):
            if key in _V2:
                yield Count(disk, *_V2[key], int(value))


def device(disk: str) -> str:
    """The path of "major:minor"; "" of a disk that is no more."""
    try:
        return f"/dev/{os.path.basename(os.readlink(f'/sys/dev/block/{disk}'))}"
    except OSError:
        return ""


def disk_counts(counts: Iterable[Count], device: Callable[[str], str]) -> dict[str, float]:
    """By series, and its further labels' values behind a `|` each."""
    found: dict[str, float] = {}
    for disk, unit, operation, value in counts:
        path = device(disk)
        if name := _NAMES.get((unit, operation)):
            found[f"{name}|{path}"] = value
        if unit == "bytes":
            found["|".join((_USAGE, path, *disk.split(":"), operation))] = value
    return found
