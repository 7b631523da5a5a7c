"""hostPath: a path of the node itself, checked or made as its type says.

Source: upstream `pkg/volume/hostpath/host_path.go`, messages included.
"""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from pylet.agent.kubelet.volumes.interface import Place, VolumeError, VolumeType
from pylet.api.object import Object, annotations_of

_CHECKS = {
    "Directory": (stat.S_ISDIR, "a directory"),
    "File": (stat.S_ISREG, "a file"),
    "Socket": (stat.S_ISSOCK, "a socket file"),
    "CharDevice": (stat.S_ISCHR, "a character device"),
    "BlockDevice": (stat.S_ISBLK, "a block device"),
}
_PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"


class HostPath(VolumeType):
    source = "hostPath"
    plugin = "host-path"

    async def mount(self, source: Object, place: Place) -> Path:
        if ".." in source["path"].split("/"):
            raise VolumeError(f"invalid HostPath `{source['path']}`: must not contain '..'")
        if annotations_of(place.volume or {"metadata": {}}).get(_PROVISIONED_BY) == "pylet.io/local-path":
            return await asyncio.to_thread(_made_for_all, Path(source["path"]))
        # A path may be on a file system that hangs, so this runs in a thread.
        return await asyncio.to_thread(_checked, Path(source["path"]), source.get("type", ""))


def _made_for_all(path: Path) -> Path:
    """A directory of the local-path provisioner is new, and its pod's alone: whoever the pod runs as may write."""
    if not path.is_dir():
        path.mkdir(mode=0o777, parents=True)
        path.chmod(0o777)
    return path


def _checked(path: Path, type_: str) -> Path:
    if not type_:
        return path  # what is missing the runtime makes
    if type_.endswith("OrCreate") and not path.exists():
        if type_.startswith("Directory"):
            path.mkdir(mode=0o755, parents=True, exist_ok=True)
        else:
            path.touch(mode=0o644)
    is_type, words = _CHECKS[type_.removesuffix("OrCreate")]
    if not path.exists() or not is_type(path.stat().st_mode):
        raise VolumeError(f"hostPath type check failed: {path} is not {words}")
    return path


VOLUME = HostPath()
