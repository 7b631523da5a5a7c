"""Takes the volumes of a pod that has ended apart: as their types have it, then what is mounted still, then files."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Collection, Mapping
from datetime import timedelta
from pathlib import Path

from pylet.agent.kubelet.volumes import mounts
from pylet.agent.kubelet.volumes.counting import operation, plugin_name
from pylet.agent.kubelet.volumes.interface import Host, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.known import FIRST_DELAY, LONGEST_DELAY
from pylet.aio.failures import in_words

VOLUMES = ("volumes", "volumeDevices", "volume-subpaths", "plugins")
"""What of a pod's directory its volumes are in."""


class TearDown:
    """`delays` are how long to wait before it is tried again with which pods."""

    def __init__(self, host: Host, plugins: Mapping[str, VolumeType]) -> None:
        self._host = host
        self._plugins = plugins
        self.delays: dict[str, timedelta] = {}

    async def attempt(self, pod_uid: str, directory: Path, everything: Collection[Path]) -> None:
        """`everything` is what of the pod's `directory` is to be removed. Raises: VolumeError."""
        try:
            if _is_there(directory):
                await self._take_apart(directory, everything)
        except VolumeError as failed:
            delay = min(self.delays.get(pod_uid, FIRST_DELAY / 2) * 2, LONGEST_DELAY)
            self.delays[pod_uid], failed.again_at = delay, self._host.clock.now() + delay
            raise
        self.delays.pop(pod_uid, None)
        for wanted in [volume for volume in self._host.in_use if volume.is_relative_to(directory)]:
            del self._host.in_use[wanted]  # which never came

    async def _take_apart(self, directory: Path, everything: Collection[Path]) -> None:
        if _is_there(subpaths := directory / "volume-subpaths"):
            await _in_thread(mounts.unmount_below, subpaths)
        for volume in volumes_in(directory):
            if type_ := self._plugins.get(volume.parent.name.partition("~")[2]):
                is_device = volume.parents[1].name != VOLUMES[0]
                with operation(plugin_name(type_, {}), "unmap_volume" if is_device else "volume_unmount"):
                    await type_.unmount(volume, self._host)
        await _in_thread(_remove, *everything)


def volumes_in(directory: Path) -> list[Path]:
    """Their own directories, below a pod's."""
    return [volume for top in VOLUMES[:2] for volume in directory.glob(f"{top}/kubernetes.io~*/*")]


def _is_there(directory: Path) -> bool:
    return directory.exists()


async def _in_thread(act: Callable[..., object], *directories: Path) -> None:
    """Of what may hang. Raises: VolumeError."""
    try:
        await asyncio.to_thread(act, *directories)
    except OSError as failed:
        raise VolumeError(f"clean up {directories[0]}: {in_words(failed)}") from failed


def _remove(*directories: Path) -> None:
    if not (there := [directory for directory in directories if directory.exists()]):
        return
    if mounts.unmount_below(*there) and (left := mounts.mounts_below(*there)):
        raise OSError(f"{left[0]} is still mounted: not removing what may be somebody's data")
    for directory in there:
        shutil.rmtree(directory)
