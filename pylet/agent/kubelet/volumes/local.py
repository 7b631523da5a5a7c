"""local: a directory or a disk of this node behind a PersistentVolume.

A directory is bound; a disk is given as the device it is, or is formatted if it is blank and mounted once for all pods.
The file system of a disk that somebody has made larger grows when the claim says that this is the node's to do.
Source: upstream `pkg/volume/local/local.go`.
"""

from __future__ import annotations

import asyncio
import stat
from datetime import timedelta
from pathlib import Path

from pylet.agent.kubelet.volumes import expansion, mounts
from pylet.agent.kubelet.volumes.disks import format_and_mount, grow
from pylet.agent.kubelet.volumes.interface import Host, Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.ownership import give_to_pod
from pylet.api.object import Object

_AGAIN = timedelta(minutes=1)


class Local(VolumeType):
    source = "local"
    plugin = "local-volume"
    live = True

    async def mount(self, source: Object, place: Place) -> Path:
        if ".." in source["path"].split("/"):
            raise VolumeError(f"invalid path: {source['path']} must not contain '..'")
        path, mode = await asyncio.to_thread(_look, Path(source["path"]))
        if place.is_block:
            if not stat.S_ISBLK(mode):
                raise VolumeError(f"{source['path']} is not a block device")
            await _expand(place)
            return path
        if stat.S_ISBLK(mode):
            directory = _disks(place.host) / place.name
            async with place.host.lock(directory):
                await format_and_mount(path, directory, source.get("fsType") or "ext4", place)
                await _expand(place, path, directory)
            path = directory
        elif not stat.S_ISDIR(mode):
            raise VolumeError("only directory and block device are supported")
        else:
            await _expand(place)
        async with place.host.lock(path):
            if mounts.is_mounted(place.directory):
                return place.directory
            is_shared = await asyncio.to_thread(_bind, path, place)
            if is_shared:
                _mind_group(path, place)
            elif not place.read_only:
                await give_to_pod(place, place.directory)
        return place.directory

    async def unmount(self, directory: Path, host: Host) -> None:
        """The last pod that leaves unmounts a disk."""
        disk = _disks(host) / directory.name
        others = [other for other in host.root.glob(f"pods/*/volumes/*/{directory.name}") if other != directory]
        if mounts.is_mounted(disk) and not others:
            mounts.unmount_below(directory)
            mounts.unmount(disk)
            disk.rmdir()


async def _expand(place: Place, *disk: Path) -> None:
    """Looked at again as long as the pod runs: what is no mounted `disk` has its size already. Raises: VolumeError."""
    if place.claim is None or place.volume is None or place.read_only:
        return
    place.again_at(place.host.clock.now() + _AGAIN)
    if size := expansion.due(place.claim, place.volume):
        if disk:
            await grow(*disk)
        await expansion.tell(place, place.claim, size)


def _look(path: Path) -> tuple[Path, int]:
    try:
        found = path.resolve(strict=True)
        return found, found.stat().st_mode
    except FileNotFoundError as missing:
        raise VolumeError(f'path "{path}" does not exist') from missing


def _bind(path: Path, place: Place) -> bool:
    """Whether other pods have it, too."""
    pods = place.host.root / "pods"
    is_shared = any(mounts.is_mounted(other) for other in pods.glob(f"*/volumes/*local-volume/{place.name}"))
    place.directory.mkdir(parents=True, exist_ok=True, mode=0o750)
    mounts.bind(path, place.directory, read_only=place.read_only)
    return is_shared


def _mind_group(path: Path, place: Place) -> None:
    """What others have is given to nobody else."""
    has = path.stat().st_gid
    if place.fs_group not in (None, has):
        words = f"The requested fsGroup is {place.fs_group}, but the volume {place.name} has GID {has}."
        place.host.tell(place.pod, "Warning", "AlreadyMountedVolume", f"{words} The volume may not be shareable.")


def _disks(host: Host) -> Path:
    return host.root / "plugins" / "kubernetes.io" / "local-volume" / "mounts"


VOLUME = Local()
