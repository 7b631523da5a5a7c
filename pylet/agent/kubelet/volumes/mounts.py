"""mount(2) and umount(2) through libc, and what is mounted now: no process is started for a mount."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

_MNT_DETACH, _UMOUNT_NOFOLLOW = 2, 8
_MS_RDONLY, _MS_REMOUNT, _MS_BIND = 1, 32, 4096

_libc = ctypes.CDLL(None, use_errno=True)


def mount_tmpfs(target: Path, *, size_bytes: int | None = None) -> None:
    """Mount a tmpfs on `target` unless something is mounted there already. Raises: OSError."""
    if os.path.ismount(target):
        return
    options = "mode=777" + (f",size={size_bytes}" if size_bytes else "")
    _mount("tmpfs", target, "tmpfs", 0, options)


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
    return os.path.realpath(target) in _mount_points()


def mounts_below(directory: Path) -> list[Path]:
    """Mount points at or below `directory`, each as often as it is mounted on, the deepest first."""
    prefix = os.path.realpath(directory)
    found = [point for point in _mount_points() if point == prefix or point.startswith(prefix + "/")]
    return [Path(point) for point in sorted(found, key=len, reverse=True)]


def unmount_below(directory: Path) -> None:
    for point in mounts_below(directory):
        unmount(point)


def _mount_points() -> list[str]:
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as lines:
        return [line.split(" ", 5)[4].encode("utf-8", "surrogateescape").decode("unicode_escape") for line in lines]


def _mount(source: Path | str, target: Path, type_: str, flags: int, options: str) -> None:
    arguments = (os.fsencode(source), os.fsencode(target), type_.encode(), flags, options.encode())
    if _libc.mount(*arguments) != 0:
        raise _last_error(f"mount {type_ or source} on", target)


def _last_error(tried: str, target: Path) -> OSError:
    number = ctypes.get_errno()
    return OSError(number, f"{tried} {target}: {os.strerror(number)}")
