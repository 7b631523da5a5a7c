"""The files a KubeletConfiguration is read from: one, and those of a folder that are said over it.

Source: upstream `cmd/kubelet/app/server.go` mergeKubeletConfigurations. Loaded where a flag names one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import yaml

from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.eviction import DEFAULT_HARD
from pylet.agent.kubelet.kubelet_config import NO_FLAGS, KubeletConfig, fields_of, from_object
from pylet.api.object import Object
from pylet.api.patch import merge

T = TypeVar("T")


def load(file: Path | None, folder: Path | None, flags: Mapping[str, Any] = NO_FLAGS) -> KubeletConfig:
    """`flags` as for `from_object`. Raises: BadConfig, which says of which file."""
    found = _read(file) if file is not None else {}
    if folder is None:
        return _checked(str(file), from_object, found, flags)
    if found.get("evictionHard") is None:
        found["evictionHard"] = DEFAULT_HARD  # it is a map: what the folder says of it is merged with what is so
    try:
        drop_ins = [*_drop_ins(folder)]
    except OSError as failed:
        raise BadConfig(f"{folder}: {failed.strerror}") from failed
    for path in drop_ins:
        said = _read(path)
        if "kind" not in said or "apiVersion" not in said:
            raise BadConfig(f"{path}: no apiVersion/kind")
        _checked(str(path), fields_of, said, flags)
        found = merge.apply(found, said)
    return _checked(" and ".join(str(path) for path in (file, folder) if path is not None), from_object, found, flags)


def _drop_ins(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir() and not path.is_symlink():
            yield from _drop_ins(path)
        elif path.suffix == ".conf":
            yield path


def _read(path: Path) -> Object:
    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as bad:
        raise BadConfig(f"{path}: {bad}") from bad
    if not isinstance(found or {}, dict):
        raise BadConfig(f"{path}: {found!r} is no KubeletConfiguration")
    return found or {}


def _checked(where: str, read: Callable[[Object, Mapping[str, Any]], T], found: Object, flags: Mapping[str, Any]) -> T:
    try:
        return read(found, flags)
    except BadConfig as bad:
        raise BadConfig(f"{where}: {bad}") from bad
