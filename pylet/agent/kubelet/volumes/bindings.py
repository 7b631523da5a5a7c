"""What one container sees of its pod's volumes: mounts and devices, as the runtime is asked for them.

Source: upstream `pkg/kubelet/kubelet_pods.go` (makeMounts, makeBlockVolumes, resolveRecursiveReadOnly). What went wrong
with a subPath is not told to the user: it could say what the node's file system looks like.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet.env import expand
from pylet.agent.kubelet.volumes import subpath
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.api.object import Object
from pylet.cri.messages import Device, Mount, MountPropagation

log = logging.getLogger(__name__)

_PROPAGATION = {
    "None": MountPropagation.PRIVATE,
    "HostToContainer": MountPropagation.HOST_TO_CONTAINER,
    "Bidirectional": MountPropagation.BIDIRECTIONAL,
}


@dataclass(frozen=True, slots=True)
class Mounted:
    """A volume that is there: `path` is a directory or file of the node, or a device for `block`.

    `plugin` is what upstream calls whoever made it, `volume` the PersistentVolume behind it.
    """

    path: Path
    read_only: bool = False
    block: bool = False
    plugin: str = ""
    volume: str = ""


@dataclass(frozen=True, slots=True)
class Bindings:
    mounts: tuple[Mount, ...] = ()
    devices: tuple[Device, ...] = ()


async def bind(
    pod_dir: Path,
    container: Object,
    volumes: Mapping[str, Mounted],
    environment: Mapping[str, str],
    *,
    recursive_read_only: bool = False,
) -> Bindings:
    """`recursive_read_only` says whether the runtime can. Raises: VolumeError."""
    mounts = []
    for index, mount in enumerate(container.get("volumeMounts") or ()):
        name = mount["name"]
        volume = volumes.get(name)
        if volume is None or volume.block:
            raise VolumeError(f'cannot find volume "{name}" to mount into container "{container["name"]}"')
        path = volume.path
        if inside := sub_path(mount, environment):
            path = pod_dir / "volume-subpaths" / name / container["name"] / str(index)
            await _bind_sub_path(volume.path, inside, path, name, container["name"])
        mounts.append(
            Mount(
                container_path=mount["mountPath"] if mount["mountPath"].startswith("/") else f"/{mount['mountPath']}",
                host_path=str(path),
                readonly=bool(mount.get("readOnly")) or volume.read_only,
                propagation=_PROPAGATION[mount.get("mountPropagation") or "None"],
                recursive_read_only=is_recursive(mount, possible=recursive_read_only),
            )
        )
    return Bindings(tuple(mounts), tuple(_devices(container, volumes)))


def sub_path(mount: Object, environment: Mapping[str, str]) -> str:
    """The path inside the volume, "" for all of it. Raises: VolumeError."""
    inside = str(mount.get("subPath", ""))
    if expression := mount.get("subPathExpr"):
        missing: set[str] = set()
        inside = expand(expression, _Noting(environment, missing))
        if missing:
            raise VolumeError(f"missing value for {', '.join(sorted(missing))}")
    if inside.startswith("/"):
        raise VolumeError(f"error SubPath `{inside}` must not be an absolute path")
    if ".." in inside.split("/"):
        raise VolumeError(f"unable to provision SubPath `{inside}`: must not contain '..'")
    return inside


def is_recursive(mount: Object, *, possible: bool) -> bool:
    """Whether also what is mounted below the volume must be read-only. Raises: VolumeError."""
    asked, name = mount.get("recursiveReadOnly") or "Disabled", mount["name"]
    if asked == "Disabled":
        return False
    wants = f'failed to resolve recursive read-only mode: volume "{name}" requested recursive read-only mode, but it is'
    if not mount.get("readOnly"):
        raise VolumeError(f"{wants} not read-only")
    if (propagation := mount.get("mountPropagation") or "None") != "None":
        raise VolumeError(f'{wants} not compatible with propagation "{propagation}"')
    if asked == "Enabled" and not possible:
        raise VolumeError(f"{wants} not supported by the runtime")
    return possible


async def _bind_sub_path(volume: Path, inside: str, target: Path, name: str, container: str) -> None:
    try:
        await asyncio.to_thread(subpath.bind, volume, inside, target)  # a volume may hang
    except OSError as failed:
        log.warning("subPath %s of volume %s: %s", inside, name, failed)
        words = f'failed to prepare subPath for volumeMount "{name}" of container "{container}"'
        raise VolumeError(words) from failed


def _devices(container: Object, volumes: Mapping[str, Mounted]) -> list[Device]:
    devices = []
    for device in container.get("volumeDevices") or ():
        volume, inside = volumes.get(device["name"]), device["devicePath"]
        if not inside.startswith("/"):
            raise VolumeError(f"error DevicePath `{inside}` must be an absolute path")
        if volume is None or not volume.block:
            raise VolumeError(f'cannot find volume "{device["name"]}" to pass into container "{container["name"]}"')
        devices.append(Device(inside, str(volume.path), "r" if volume.read_only else "mrw"))
    return devices


class _Noting(dict[str, str]):
    """An environment that notes which names it was asked for in vain; an empty value is as good as none."""

    def __init__(self, values: Mapping[str, str], missing: set[str]) -> None:
        super().__init__(values)
        self._missing = missing

    def get(self, name: str, default: str = "") -> str:  # type: ignore[override]
        if not super().get(name):
            self._missing.add(name)
        return super().get(name) or default
