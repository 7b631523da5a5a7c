"""subPath: a file or directory inside a volume, bound to a place of the node's own that containers then mount.

A pod may change its volume while the node looks at it (CVE-2017-1002101, CVE-2021-25741), so no path inside a volume is
ever looked up twice: what was opened beneath the volume, not its name, is bound.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path, PurePosixPath

from pylet.agent.kubelet.beneath import open_beneath
from pylet.agent.kubelet.volumes import mounts

_ANY_MODE = 0o7777


def bind(volume: Path, inside: str, target: Path) -> None:
    """Show what `inside` names in `volume` at `target`; a directory is made where there is nothing. Raises: OSError."""
    root = os.open(volume.resolve(), os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        found = _open_or_make(root, PurePosixPath(inside).parts)
        try:
            _bind(found, target)
        finally:
            os.close(found)
    finally:
        os.close(root)


def _open_or_make(root: int, parts: tuple[str, ...]) -> int:
    try:
        return _open(root, parts)
    except FileNotFoundError:
        _make(root, parts)
        return _open(root, parts)


def _make(root: int, parts: tuple[str, ...]) -> None:
    """Directories with the mode of the volume itself, so that whoever may write there may write here."""
    mode = stat.S_IMODE(os.stat(root).st_mode) & _ANY_MODE
    for depth in range(len(parts)):
        parent = _open(root, parts[:depth])
        try:
            os.mkdir(parts[depth], dir_fd=parent)
            made = os.open(parts[depth], os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        except FileExistsError:
            continue
        finally:
            os.close(parent)
        try:
            os.fchmod(made, mode)  # mkdir's mode is cut by the umask
        finally:
            os.close(made)


def _open(root: int, parts: tuple[str, ...]) -> int:
    return open_beneath(root, "/".join(parts) or ".", os.O_PATH, follows_links=True)


def _bind(found: int, target: Path) -> None:
    wanted = os.fstat(found)
    if mounts.is_mounted(target):
        there = os.lstat(target)
        if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino):
            return
        mounts.unmount(target)
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o750)
    if stat.S_ISDIR(wanted.st_mode):
        if target.is_file():
            target.unlink()
        target.mkdir(exist_ok=True, mode=0o750)
    else:
        if target.is_dir():
            target.rmdir()
        target.touch(mode=0o640)
    mounts.bind(f"/proc/self/fd/{found}", target)
