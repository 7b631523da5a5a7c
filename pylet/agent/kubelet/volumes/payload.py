"""What files a ConfigMap, Secret or downward API source stands for. Pure: objects in, payload or VolumeError out.

Source: upstream `pkg/volume/{configmap,secret,downwardapi,projected}`, messages included.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pylet.agent.kubelet.downward import NotAvailable, field_text, resource_text
from pylet.agent.kubelet.volumes.atomic import File
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.api.object import Object

DEFAULT_MODE = 0o644


def config_map_bytes(config_map: Object) -> dict[str, bytes]:
    text = {name: value.encode() for name, value in (config_map.get("data") or {}).items()}
    return text | _decoded(config_map.get("binaryData"))


def secret_bytes(secret: Object) -> dict[str, bytes]:
    return _decoded(secret.get("data"))


def keyed_files(
    content: dict[str, bytes], items: list[Object] | None, mode: int, *, optional: bool, what: str
) -> dict[str, File]:
    """All keys as files, or just `items` (`{key, path, mode}`) under their paths."""
    if not items:
        return {name: File(value, mode) for name, value in content.items()}
    files = {}
    for item in items:
        if item["key"] in content:
            files[checked_path(item["path"])] = File(content[item["key"]], item.get("mode", mode))
        elif not optional:
            raise VolumeError(f"{what} key: {item['key']}")
    return files


def downward_files(items: list[Object] | None, pod: Object, node: Object, mode: int) -> dict[str, File]:
    """`node` is what resourceFieldRef falls back to: the node's allocatable."""
    files = {}
    for item in items or ():
        try:
            text = _downward_text(item, pod, node)
        except NotAvailable as missing:
            raise VolumeError(str(missing)) from missing
        files[checked_path(item["path"])] = File(text.encode(), item.get("mode", mode))
    return files


def checked_path(path: str) -> str:
    """Raises: VolumeError for a path that would leave the volume."""
    if path.startswith(("/", "..")) or ".." in path.split("/"):
        raise VolumeError(f"invalid path {path!r}: must be relative and without '..'")
    return path


def _downward_text(item: Object, pod: Object, node: Object) -> str:
    if "fieldRef" in item:
        return field_text(item["fieldRef"]["fieldPath"], pod)
    return resource_text(item["resourceFieldRef"], pod, node)


def _decoded(data: dict[str, Any] | None) -> dict[str, bytes]:
    try:
        return {name: base64.b64decode(value or "", validate=True) for name, value in (data or {}).items()}
    except binascii.Error as bad:
        raise VolumeError(f"data is not base64: {bad}") from bad
