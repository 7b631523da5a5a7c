"""hostPath: a path of the node itself, checked or made as its type says.

Source: upstream `pkg/volume/hostpath/host_path.go`, messages included.
"""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from pylet.agent.kubelet.volumes.interface import Place, VolumeError
from pylet.api.object import Object

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "DirectoryOrCreate": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "FileOrCreate": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}


class HostPath:
    source = "hostPath"
    live = False

    async def mount(self, source: Object, place: Place) -> Path:
        return await asyncio.to_thread(_checked, Path(source["path"]), source.get("type", ""))


def _checked(path: Path, type_: str) -> Path:
    # A path may be on a file system that hangs, so this runs in a thread.
    if not path.exists():
        if type_ == "FileOrCreate":
            path.touch(mode=0o644)
        elif type_ in ("", "DirectoryOrCreate"):
            path.mkdir(mode=0o755, parents=True)
    if type_:
        is_type, words = _CHECKS[type_]
        if not path.exists() or not is_type(path.stat().st_mode):
            raise VolumeError(f"hostPath type check failed: {path} is not {words}")
    return path


VOLUME = HostPath()
