"""mount(2) and umount(2) through libc, and what is mounted now: no process is started for a mount."""

from __future__ import annotations

import ctypes
import os
import re
import tempfile
from pathlib import Path

from pylet.agent.kubelet.machine import meminfo

_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096

_ESCAPED = re.compile(rb"\\([0-7]{3})")
_libc = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int | None = None) -> None:
    """Mount a tmpfs on `target` unless something is mounted there already. Raises: OSError.

    What is in it stays in memory where the kernel can promise that (Linux 6.4): it may be a Secret. Its mode is the
    kernel's own, 1777, as with upstream.
    """
    if _is_top(target):
        return
    options = f"size={size_bytes}" if size_bytes else ""
    try:
        _mount("tmpfs", target, "tmpfs", 0, f"{options},noswap".lstrip(","))
    except OSError:
        _mount("tmpfs", target, "tmpfs", 0, options)


def may_swap(below: Path) -> bool:
    """Whether what a tmpfs holds can get to the disk; tried out in a directory `below`."""
    if not meminfo()["SwapTotal"]:
        return False
    with tempfile.TemporaryDirectory(prefix="tmpfs-noswap-test-", dir=below) as name:
        try:
            _mount("tmpfs", Path(name), "tmpfs", 0, "noswap")
        except OSError:
            return True
        unmount(Path(name))
    return False


def mount_huge_pages(target: Path, page_bytes: int) -> None:
    """Mount a hugetlbfs on `target` unless something is mounted there already. Raises: OSError."""
    if not _is_top(target):
        _mount("nodev", target, "hugetlbfs", 0, f"pagesize={page_bytes}")


def _is_top(directory: Path) -> bool:
    """Whether a file system of its own begins there."""
    return directory.lstat().st_dev != directory.parent.stat().st_dev


def bind(source: Path | str, target: Path, *, read_only: bool = False) -> None:
    """Show `source` at `target` too, without what is mounted below it. Raises: OSError."""
    _mount(source, target, "", _MS_BIND, "")
    if read_only:
        _mount("", target, "", _MS_BIND | _MS_REMOUNT | _MS_RDONLY, "")


def unmount(target: Path) -> None:
    """Detach what is mounted on `target`, also while somebody uses it. Raises: OSError."""
    if _libc.umount2(os.fsencode(target), _MNT_DETACH | _UMOUNT_NOFOLLOW) != 0:
        raise _last_error("unmount", target)


def is_mounted(target: Path) -> bool:
    """Whether something, a file bound over a file too, is mounted exactly there."""
    return os.fsencode(os.path.realpath(target)) in _mount_points()


def mounts_below(*directories: Path) -> list[Path]:
    """Mount points at or below them, each as often as it is mounted on, the deepest first."""
    tops = {os.fsencode(os.path.realpath(directory)) for directory in directories}
    below = tuple(top + b"/" for top in tops)
    found = [point for point in _mount_points() if point in tops or point.startswith(below)]
    return [Path(os.fsdecode(point)) for point in sorted(found, key=len, reverse=True)]


def unmount_below(*directories: Path) -> bool:
    """Whether anything was mounted there. Raises: OSError."""
    points = mounts_below(*directories)
    for point in points:
        unmount(point)
    return bool(points)


def _mount_points() -> list[bytes]:
    """A kernel with thousands of mounts takes milliseconds to tell them."""
    with open("/proc/self/mountinfo", "rb") as lines:
        return [_ESCAPED.sub(_unescaped, line.split(b" ", 5)[4]) for line in lines]


def _unescaped(octal: re.Match[bytes]) -> bytes:
    return bytes((int(octal[1], 8),))


def _mount(source: Path | str, target: Path, type_: str, flags: int, options: str) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), type_.encode(), flags, options.encode())
    if _libc.mount(*arguments) != 0:
        raise _last_error(f"mount {type_ or source} on", target)


def _last_error(tried: str, target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{tried} {target}: {os.strerror(number)}")
