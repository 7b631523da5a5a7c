"""Files that are whole, or as they were before."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes, mode: int = 0o600, *, durable: bool = False) -> None:
    """Replace the file's content; who may read it is as `mode` says from its first byte. Raises: OSError.

    `durable` waits for the disk: for what nobody could make again after a power cut.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
        os.fchmod(file.fileno(), mode)
        if durable:
            file.flush()
            os.fsync(file.fileno())
    fresh.replace(path)
