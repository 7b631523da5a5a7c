"""Give a volume to the pod's fsGroup, as upstream's `pkg/volume/volume_linux.go` does."""

from __future__ import annotations

import os
import stat
from pathlib import Path

_READ, _READ_WRITE, _EXECUTE, _SETGID = 0o440, 0o660, 0o110, 0o2000


def give_to_group(
    root: Path, group: int | None, *, only_on_root_mismatch: bool = False, read_only: bool = False
) -> None:
    """Make everything below `root` readable (and writable) by `group`; new files inherit it. None does nothing.

    The root is the last to be given: an interrupted walk is begun again, also where only its mismatch is looked at.
    """
    if group is None or (only_on_root_mismatch and is_given(root, group, read_only=read_only)):
        return
    mode = _READ if read_only else _READ_WRITE
    for _, directories, files, held in os.fwalk(root, topdown=False, follow_symlinks=False):
        for name in (*files, *(name for name in directories if _is_link(name, held))):
            _give(name, group, mode, held)
        _give_open(held, group, mode | _EXECUTE | _SETGID)
    if not root.is_dir():
        _give(os.fspath(root), group, mode, None)


def is_given(root: Path, group: int, *, read_only: bool = False) -> bool:
    """Whether the root alone looks as if all had been given to `group`."""
    found = root.stat()
    wanted = (_READ if read_only else _READ_WRITE) | _EXECUTE | _SETGID
    return stat.S_ISDIR(found.st_mode) and found.st_gid == group and found.st_mode & wanted == wanted


def _is_link(name: str, directory: int) -> bool:
    return stat.S_ISLNK(os.lstat(name, dir_fd=directory).st_mode)


def _give(name: str, group: int, mode: int, directory: int | None) -> None:
    """Never follows a symlink: the pod may own the volume already and change names for links while we walk."""
    try:
        opened = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=directory)
    except FileNotFoundError:
        return
    try:
        os.chown(name, -1, group, dir_fd=directory, follow_symlinks=False)
        before = os.fstat(opened).st_mode
        if not stat.S_ISLNK(before):
            os.chmod(f"/proc/self/fd/{opened}", stat.S_IMODE(before) | mode)
    finally:
        os.close(opened)


def _give_open(directory: int, group: int, mode: int) -> None:
    before = os.fstat(directory).st_mode
    os.chown(directory, -1, group)
    os.chmod(directory, stat.S_IMODE(before) | mode)
