"""A block device becomes a mounted file system; one that holds anything at all is never formatted.

Source: upstream `staging/src/k8s.io/mount-utils/mount_linux.go` (SafeFormatAndMount).
"""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.interface import VolumeError

_NOTHING_FOUND = "exit status 2"  # blkid's: neither a file system nor a partition table
_FORMAT_SECONDS = 600.0


async def format_and_mount(device: Path, directory: Path, type_: str, options: list[str]) -> None:
    """Raises: VolumeError, OSError."""
    if mounts.is_mounted(directory):
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)  # noqa: ASYNC240
    if not await _is_formatted(device):
        tools.need(f"mkfs.{type_}", f"the tools of {type_}")
        flags = ("-F", "-m0") if type_ in ("ext3", "ext4") else ()
        await tools.run(f"mkfs.{type_}", *flags, str(device), seconds=_FORMAT_SECONDS)
    await tools.mount(str(device), str(directory), type_, options or ["defaults"])


async def _is_formatted(device: Path) -> bool:
    tools.need("blkid", "util-linux")
    try:
        await tools.run("blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(device))
    except VolumeError as failed:
        if _NOTHING_FOUND in str(failed):
            return False
        raise
    return True
