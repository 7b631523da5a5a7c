"""Write a set of files so that readers see all of the old or all of the new, never a mixture.

The layout is the one programs rely on (client-go `pkg/volume/util/atomic_writer.go`): files live in a timestamped
directory, `..data` is a symlink to it, and each name at the top is a symlink through `..data`. The swap is one rename.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_DATA = "..data"


@dataclass(frozen=True, slots=True)
class File:
    content: bytes
    mode: int
    uid: int | None = None


Payload = Mapping[str, File]
"""Relative path → file. Paths have been checked: no `..`, not absolute."""


def write(directory: Path, payload: Payload, *, gid: int | None = None) -> bool:
    """Make `directory` show exactly `payload`; whether anything changed. Raises: OSError."""
    current = directory / _DATA
    if _is_same(current, payload):
        return False
    fresh = Path(tempfile.mkdtemp(prefix="..", dir=directory))
    fresh.chmod(0o755)
    for name, file in payload.items():
        _write_file(fresh, name, file, gid)
    old = directory / os.readlink(current) if current.is_symlink() else None
    link = directory / "..data_tmp"
    link.unlink(missing_ok=True)
    link.symlink_to(fresh.name)
    link.rename(current)
    _link_names(directory, {name.split("/", 1)[0] for name in payload})
    if old is not None:
        shutil.rmtree(old, ignore_errors=True)
    return True


def _write_file(root: Path, name: str, file: File, gid: int | None) -> None:
    path = root / name
    for parent in reversed(path.relative_to(root).parents[:-1]):
        (root / parent).mkdir(exist_ok=True)
        (root / parent).chmod(0o755)
    path.write_bytes(file.content)
    if gid is not None or file.uid is not None:
        os.chown(path, -1 if file.uid is None else file.uid, -1 if gid is None else gid)
    path.chmod(file.mode)


def _link_names(directory: Path, names: set[str]) -> None:
    for name in names:
        if not (directory / name).is_symlink():
            (directory / name).symlink_to(f"{_DATA}/{name}")
    for entry in directory.iterdir():
        if not entry.name.startswith("..") and entry.is_symlink() and entry.name not in names:
            entry.unlink()


def _is_same(current: Path, payload: Payload) -> bool:
    if not current.is_symlink() or not current.exists():
        return False
    there = {str(Path(top, name).relative_to(current)) for top, _, files in os.walk(current) for name in files}
    return there == set(payload) and all(
        (path := current / name).read_bytes() == file.content and path.stat().st_mode & 0o777 == file.mode
        for name, file in payload.items()
    )
