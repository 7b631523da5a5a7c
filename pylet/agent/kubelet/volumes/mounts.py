"""mount(2) and umount(2) through libc, and what is mounted now: no process is started for a mount."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MNT_DETACH = 2
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC = 2, 4, 8

_libc = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int | None = None, mode: int = 0o777, flags: int = 0) -> None:
    """Mount a tmpfs on `target` unless something is mounted there already. Raises: OSError."""
    if os.path.ismount(target):
        return
    options = f"mode={mode:o}" + (f",size={size_bytes}" if size_bytes else "")
    if _libc.mount(b"tmpfs", os.fsencode(target), b"tmpfs", flags, options.encode()) != 0:
        raise _last_error("mount tmpfs on", target)


def unmount(target: Path) -> None:
    """Detach what is mounted on `target`, also while somebody uses it. Raises: OSError."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH) != 0:
        raise _last_error("unmount", target)


def mounts_below(directory: Path) -> list[Path]:
    """Mount points at or below `directory`, the deepest first."""
    prefix = os.path.realpath(directory)
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        points = [line.split(" ", 5)[4].encode().decode("unicode_escape") for line in lines]
    found = [point for point in points if point == prefix or point.startswith(prefix + "/")]
    return [Path(point) for point in sorted(found, key=len, reverse=True)]


def unmount_below(directory: Path) -> None:
    for point in mounts_below(directory):
        unmount(point)


def _last_error(tried: str, target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{tried} {target}: {os.strerror(number)}")
