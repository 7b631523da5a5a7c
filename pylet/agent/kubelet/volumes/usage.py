"""How full a volume is, as `/stats/summary` and eviction ask.

Source: upstream `pkg/volume/metrics_du.go` (what shares the node's file system is counted file by file) and
`metrics_statfs.go` (what has a file system of its own is asked for it).
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

_BLOCK = 512  # st_blocks' unit, whatever the file system's is


@dataclass(frozen=True, slots=True)
class Usage:
    capacity_bytes: int
    available_bytes: int
    used_bytes: int
    inodes: int
    inodes_free: int
    inodes_used: int


def usage(path: Path) -> Usage:
    """Of a mounted file system, or of the files of a directory within its file system. Blocks. Raises: OSError."""
    stats = os.statvfs(path)
    used_bytes, used_inodes = (stats.f_blocks - stats.f_bfree) * stats.f_frsize, stats.f_files - stats.f_ffree
    if not os.path.ismount(path):
        used_bytes, used_inodes = _count(path)
    return Usage(
        capacity_bytes=stats.f_blocks * stats.f_frsize,
        available_bytes=stats.f_bavail * stats.f_frsize,
        used_bytes=used_bytes,
        inodes=stats.f_files,
        inodes_free=stats.f_ffree,
        inodes_used=used_inodes,
    )


def _count(root: Path) -> tuple[int, int]:
    """Bytes and inodes of what is below `root` on its file system; a file with several names counts once."""
    top = root.lstat()
    seen, used = {top.st_ino}, top.st_blocks * _BLOCK
    waiting = [os.fspath(root)]
    while waiting:
        try:
            entries = list(os.scandir(waiting.pop()))
        except FileNotFoundError:
            continue  # the pod removes while we look
        for entry in entries:
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if found.st_dev != top.st_dev or found.st_ino in seen:
                continue
            seen.add(found.st_ino)
            used += found.st_blocks * _BLOCK
            if entry.is_dir(follow_symlinks=False):
                waiting.append(entry.path)
    return used, len(seen)
