"""Give a volume to the pod's fsGroup, as upstream's `pkg/volume/volume_linux.go` does."""

from __future__ import annotations

import asyncio
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pylet.agent.kubelet.volumes.interface import Place

_LONG_SECONDS, _AGAIN_SECONDS = 30.0, 60.0
_HINT = (
    "is taking longer than expected, consider using OnRootMismatch - https://kubernetes.io/docs/tasks/"
    "configure-pod-container/security-context/"
    "#configure-volume-permission-and-ownership-change-policy-for-pods"
)
_READ, _READ_WRITE, _EXECUTE, _SETGID = 0o440, 0o660, 0o110, 0o2000


@dataclass(slots=True)
class Progress:
    files: int = 0


async def give_to_pod(place: Place, directory: Path) -> None:
    """As the pod asks for it; what takes its time is told."""
    if place.fs_group is None:
        return
    progress = Progress()
    telling = asyncio.create_task(_tell(place, directory, progress))
    try:
        await asyncio.to_thread(
            give_to_group,
            directory,
            place.fs_group,
            only_on_root_mismatch=place.only_on_root_mismatch,
            progress=progress,
        )
    finally:
        telling.cancel()


async def _tell(place: Place, directory: Path, progress: Progress) -> None:
    words = f"Setting volume ownership for {directory.relative_to(place.host.root / 'pods')}"
    await place.host.clock.sleep(_LONG_SECONDS)
    told = f"{words} {_HINT}"
    while True:
        place.host.tell(place.pod, "Warning", "VolumePermissionChangeInProgress", told)
        await place.host.clock.sleep(_AGAIN_SECONDS)
        told = f"{words}, processed {progress.files} files."


def give_to_group(
    root: Path,
    group: int | None,
    *,
    only_on_root_mismatch: bool = False,
    read_only: bool = False,
    progress: Progress | None = None,
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
        if progress is not None:
            progress.files += len(files) + 1
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
