"""How full a volume is, as `/stats/summary` and eviction ask.

Source: upstream `pkg/volume/metrics_du.go` (what shares the node's file system is counted file by file) and
`metrics_statfs.go` (what has a file system of its own is asked for it), `metrics_block.go` (of a device only
its size is known).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet.beneath import directory, open_beneath

_LONG = 2000  # half of what a path may have
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


def size_of_device(path: Path) -> Usage:
    """Blocks. Raises: OSError."""
    with path.open("rb") as device:
        return Usage(device.seek(0, os.SEEK_END), 0, 0, 0, 0, 0)


def _count(root: Path) -> tuple[int, int]:
    """Bytes and inodes of what is below `root` on its file system; a file with several names counts once.

    Every directory is opened beneath the root: a name that the pod changes for a link while we look leads nowhere. One
    that lies deeper than a path is long is looked for from half the way.
    """
    top = root.lstat()
    seen, used = {top.st_ino}, top.st_blocks * _BLOCK
    with ExitStack() as opened:
        waiting = [(opened.enter_context(directory(root)), ".")]
        while waiting:
            start, path = waiting.pop()
            for entry, found in _entries(start, path):
                if found.st_dev != top.st_dev or found.st_ino in seen:
                    continue
                seen.add(found.st_ino)
                used += found.st_blocks * _BLOCK
                if not stat.S_ISDIR(found.st_mode):
                    continue
                if len(path) > _LONG:
                    with suppress(OSError):
                        start, path = open_beneath(start, path, os.O_PATH | os.O_DIRECTORY), "."
                        opened.callback(os.close, start)
                waiting.append((start, f"{path}/{entry}"))
    return used, len(seen)


def _entries(start: int, path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Of a directory; none where it has gone, or is none any more."""
    try:
        held = open_beneath(start, path, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        for name in os.listdir(held):
            with suppress(FileNotFoundError):
                yield name, os.lstat(name, dir_fd=held)
    finally:
        os.close(held)
