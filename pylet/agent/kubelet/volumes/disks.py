"""A block device becomes a mounted file system; one that holds anything at all is never formatted.

Source: upstream `staging/src/k8s.io/mount-utils/mount_linux.go` (SafeFormatAndMount), `resizefs_linux.go`.
"""

from __future__ import annotations

from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.interface import VolumeError

_NOTHING_FOUND = "exit status 2"  # blkid's: neither a file system nor a partition table
_FORMAT_SECONDS = 600.0
_GROW = "MountVolume.NodeExpandVolume"


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


async def grow(device: Path, directory: Path) -> None:
    """Let the file system of `device`, mounted on `directory`, take all of it. Raises: VolumeError."""
    type_ = (await tools.run("findmnt", "-n", "-o", "FSTYPE", str(directory))).strip()
    commands = {
        "ext3": ("resize2fs", str(device)),
        "ext4": ("resize2fs", str(device)),
        "xfs": ("xfs_growfs", "-d", str(directory)),
        "btrfs": ("btrfs", "filesystem", "resize", "max", str(directory)),
    }
    if type_ not in commands:
        where = f"device {device} mounted at {directory}"
        raise VolumeError(f"ResizeFS.Resize - resize of format {type_} is not supported for {where}", operation=_GROW)
    tools.need(commands[type_][0], f"the tools of {type_}")
    await tools.run(*commands[type_])


async def _is_formatted(device: Path) -> bool:
    tools.need("blkid", "util-linux")
    try:
        await tools.run("blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(device))
    except VolumeError as failed:
        if _NOTHING_FOUND in str(failed):
            return False
        raise
    return True
