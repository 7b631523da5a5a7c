"""A block device becomes a mounted file system; one that holds anything at all is never formatted.

Source: upstream `staging/src/k8s.io/mount-utils/mount_linux.go` (SafeFormatAndMount), `resizefs_linux.go`.
"""

from __future__ import annotations

import logging
from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, tools
from pylet.agent.kubelet.volumes.interface import Place, VolumeError

log = logging.getLogger(__name__)

_NOTHING_FOUND = "exit status 2"  # blkid's: neither a file system nor a partition table
_NOT_CORRECTED = "exit status 4\n"  # fsck's
_FORMAT_SECONDS = 600.0
_FORMAT_FLAGS = {"ext3": ("-F", "-m0"), "ext4": ("-F", "-m0"), "xfs": ("-f",)}
_GROW = "MountVolume.NodeExpandVolume"


async def format_and_mount(device: Path, directory: Path, type_: str, place: Place) -> None:
    """Raises: VolumeError, OSError."""
    if mounts.is_mounted(directory):
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o750)  # noqa: ASYNC240
    found = await _format_of(device)
    if found is None:
        tools.need(f"mkfs.{type_}", f"the tools of {type_}")
        await tools.run(f"mkfs.{type_}", *_FORMAT_FLAGS.get(type_, ()), str(device), seconds=_FORMAT_SECONDS)
    else:
        await _repair(device)
    try:
        await tools.mount(str(device), str(directory), type_, place.mount_options or ["defaults"])
    except VolumeError as failed:
        if found not in (None, type_) and place.volume is not None:
            words = f'MountVolume failed for volume "{place.volume["metadata"]["name"]}" {failed}'
            place.host.tell(place.volume, "Warning", "FailedMountOnFilesystemMismatch", words)
        raise


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


async def _format_of(device: Path) -> str | None:
    """The file system, or what else is on it; None of a blank one. Raises: VolumeError."""
    tools.need("blkid", "util-linux")
    try:
        said = await tools.run("blkid", "-p", "-s", "TYPE", "-s", "PTTYPE", "-o", "export", str(device))
    except VolumeError as failed:
        if _NOTHING_FOUND in str(failed):
            return None
        raise
    found = dict(line.split("=", 1) for line in said.splitlines() if "=" in line)
    return "unknown data, probably partitions" if "PTTYPE" in found else found.get("TYPE", "")


async def _repair(device: Path) -> None:
    """What can be. Raises: VolumeError."""
    try:
        await tools.run("fsck", "-a", str(device), seconds=_FORMAT_SECONDS)
    except FileNotFoundError:
        log.warning("no fsck on this node: %s is mounted unchecked", device)
    except VolumeError as failed:
        if _NOT_CORRECTED in str(failed):
            words = f"'fsck' found errors on device {device} but could not correct them: {failed}"
            raise VolumeError(words, operation=failed.operation) from failed
        log.info("device %s: %s", device, failed)
