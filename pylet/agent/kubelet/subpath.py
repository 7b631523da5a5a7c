"""subPath: the part of a volume that a container mounts, made where it is missing, never outside of its volume."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pylet.agent.kubelet.env import EnvError, expand_strictly
from pylet.api.object import Object


def sub_paths(container: Object, volumes: Mapping[str, Path], values: Mapping[str, str]) -> dict[str, Path]:
    """mountPath → host path of every mount with a subPath. Raises: EnvError."""
    return {
        mount["mountPath"]: _inside(volumes[mount["name"]], relative, mount["name"])
        for mount in container.get("volumeMounts") or ()
        if (relative := _relative(mount, values))
    }


def _relative(mount: Object, values: Mapping[str, str]) -> str:
    expression = mount.get("subPathExpr")
    relative = expand_strictly(expression, values) if expression else mount.get("subPath", "")
    if relative.startswith("/"):
        raise EnvError(f"error SubPath `{relative}` must not be an absolute path")
    if ".." in relative.split("/"):
        raise EnvError(f"unable to provision SubPath `{relative}`: must not contain '..'")
    return str(relative)


def _inside(volume: Path, relative: str, name: str) -> Path:
    root = volume.resolve()
    wanted = (root / relative).resolve()
    if not wanted.is_relative_to(root):
        raise EnvError(
            f'failed to prepare subPath for volumeMount "{name}": subPath "{relative}" leads out of the volume'
        )
    if not wanted.exists():
        wanted.mkdir(parents=True, mode=0o750)
    return wanted
