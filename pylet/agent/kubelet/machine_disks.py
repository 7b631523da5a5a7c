"""The machine's file systems and what was done on their disks, by the names of cAdvisor's series.

Source: cAdvisor, `container/raw/handler.go` (getFsStats), `fs/fs.go` and `metrics/prometheus.go`, which tells
milliseconds as if they were nanoseconds: these are seconds.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet.group_counts import Counts

_FS = "container_fs_"
_OF_DISKS = (
    ("reads_total", "Cumulative count of reads completed"),
    ("reads_merged_total", "Cumulative count of reads merged"),
    ("sector_reads_total", "Cumulative count of sector reads completed"),
    ("read_seconds_total", "Cumulative count of seconds spent reading"),
    ("writes_total", "Cumulative count of writes completed"),
    ("writes_merged_total", "Cumulative count of writes merged"),
    ("sector_writes_total", "Cumulative count of sector writes completed"),
    ("write_seconds_total", "Cumulative count of seconds spent writing"),
    ("io_current", "Number of I/Os currently in progress"),
    ("io_time_seconds_total", "Cumulative count of seconds spent doing I/Os"),
    ("io_time_weighted_seconds_total", "Cumulative weighted I/O time in seconds"),
)
"""As `/proc/diskstats` has them, behind the name."""
_OF_FILESYSTEMS = (
    ("limit_bytes", "Number of bytes that can be consumed by the container on this filesystem."),
    ("usage_bytes", "Number of bytes that are consumed by the container on this filesystem."),
    ("inodes_total", "Number of Inodes"),
    ("inodes_free", "Number of available Inodes"),
)
SERIES = {
    **{f"{_FS}{name}": ("gauge", help_, "device") for name, help_ in _OF_FILESYSTEMS},
    **{f"{_FS}{n}": ("counter" if n.endswith("_total") else "gauge", help_, "device") for n, help_ in _OF_DISKS},
}
"""By name: type, help and further labels."""

_ON_DISKS = ("ext", "xfs", "btrfs", "f2fs", "jfs", "reiserfs", "squashfs")


def read_disks(mountinfo: str, diskstats: str, apart: Path) -> Counts:
    """Of the whole machine; file systems in memory that are mounted below `apart` are the pods'."""
    found: dict[str, float] = {}
    told = {f"/dev/{row[2]}": row[3:14] for row in map(str.split, diskstats.splitlines())}
    for device, where in _filesystems(mountinfo.splitlines(), apart):
        with suppress(OSError):
            room = os.statvfs(where)
            used = room.f_blocks - room.f_bfree
            sizes = room.f_blocks * room.f_frsize, used * room.f_frsize, room.f_files, room.f_ffree
            for (name, _), value in zip(_OF_FILESYSTEMS, sizes, strict=True):
                found[f"{_FS}{name}|{device}"] = value
        for (name, _), text in zip(_OF_DISKS, told.get(device, ()), strict=False):
            found[f"{_FS}{name}|{device}"] = int(text) / 1000 if "seconds" in name else int(text)
    return found


def _filesystems(mounts: Sequence[str], apart: Path) -> Iterator[tuple[str, str]]:
    """Device and mount point; a disk once however often it is bound, one in memory by where it is."""
    rows = [line.split() for line in mounts]
    of_pods = {row[2] for row in rows if Path(row[4]).is_relative_to(apart)}  # wherever else they are bound
    known = set[str]()
    for row in rows:
        numbers, where, (type_, device, *_) = row[2], row[4], row[row.index("-") + 1 :]
        if type_ == "tmpfs" and device != "shm":  # which is a sandbox's
            if numbers in of_pods:
                continue
            device = where
        elif not type_.startswith(_ON_DISKS):
            continue
        if device not in known:
            known.add(device)
            yield device, where
