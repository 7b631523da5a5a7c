"""Give a volume to the pod's fsGroup, as upstream's `pkg/volume/volume_linux.go` does."""

from __future__ import annotations

import os
from pathlib import Path

_READ_WRITE, _EXECUTE, _SETGID = 0o660, 0o110, 0o2000


def give_to_group(root: Path, group: int | None) -> None:
    """Make everything below `root` readable and writable by `group`; new files inherit it. None does nothing."""
    if group is None:
        return
    for top, directories, files in os.walk(root):
        _give(top, group, _READ_WRITE | _EXECUTE | _SETGID)
        for name in files:
            _give(os.path.join(top, name), group, _READ_WRITE)
        directories[:] = [name for name in directories if not os.path.islink(os.path.join(top, name))]


def _give(path: str, group: int, mode: int) -> None:
    if os.path.islink(path):
        os.lchown(path, -1, group)
        return
    os.chown(path, -1, group)
    os.chmod(path, os.stat(path).st_mode | mode)
