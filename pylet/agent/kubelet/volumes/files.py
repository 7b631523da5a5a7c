"""Read the objects a volume shows and write their files: what configMap, secret, downwardAPI and projected share."""

from __future__ import annotations

import os
import stat
from dataclasses import replace
from pathlib import Path

from pylet.agent.kubelet.volumes import atomic, mounts
from pylet.agent.kubelet.volumes.atomic import File
from pylet.agent.kubelet.volumes.interface import Place, VolumeError
from pylet.agent.kubelet.volumes.nested import nested_mount_points
from pylet.agent.kubelet.volumes.payload import config_map_bytes, downward_files, keyed_files, secret_bytes
from pylet.api.kind import Kind
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.object import Key, Object

_GROUP_MAY_READ = 0o440
_NO_CONFIG, _NO_SECRET = "configmap references non-existent config", "references non-existent secret"


async def config_map_files(source: Object, place: Place, mode: int) -> dict[str, File]:
    found = await _read(CONFIG_MAP, source, place)
    return {} if found is None else _files(config_map_bytes(found), source, mode, _NO_CONFIG)


async def secret_files(source: Object, place: Place, mode: int) -> dict[str, File]:
    found = await _read(SECRET, source, place)
    return {} if found is None else _files(secret_bytes(found), source, mode, _NO_SECRET)


async def own_files(source: Object, place: Place, mode: int) -> dict[str, File]:
    node: Object | None = None
    if any("resourceFieldRef" in item for item in source.get("items") or ()):
        node = await place.references.read(NODE, Key("", place.pod["spec"].get("nodeName", "")))
    return downward_files(source.get("items"), place.pod, node or {}, mode)


def show(place: Place, files: dict[str, File], *, in_memory: bool = False) -> Path:
    """Write `files` into the volume's directory, on a tmpfs if they must not reach a disk."""
    place.directory.mkdir(parents=True, exist_ok=True)
    if in_memory:
        mounts.mount_tmpfs(place.directory)
    _open_to_all(place.directory, place.fs_group)
    for inside in nested_mount_points(place.name, place.pod):
        (place.directory / inside).mkdir(parents=True, exist_ok=True, mode=0o755)
    if place.fs_group is not None:
        files = {name: replace(file, mode=file.mode | _GROUP_MAY_READ) for name, file in files.items()}
    atomic.write(place.directory, files, gid=place.fs_group)
    return place.directory


def _open_to_all(directory: Path, group: int | None) -> None:
    """As the emptyDir that it is with upstream: what is made below is of the same group."""
    found = directory.stat()
    mode = stat.S_IMODE(found.st_mode) | 0o777 | (0 if group is None else stat.S_ISGID)
    if group is not None and group != found.st_gid:
        os.chown(directory, -1, group)
    if mode != stat.S_IMODE(found.st_mode):
        directory.chmod(mode)


def _files(content: dict[str, bytes], source: Object, mode: int, what: str) -> dict[str, File]:
    optional = bool(source.get("optional"))
    return keyed_files(content, source.get("items"), mode, optional=optional, what=what)


async def _read(kind: Kind, source: Object, place: Place) -> Object | None:
    key = Key(place.pod["metadata"]["namespace"], source.get("name", ""))
    found = await place.references.get(kind, key)
    if found is None and not source.get("optional"):
        raise VolumeError(f'{kind.singular} "{key.name}" not found')
    return found
