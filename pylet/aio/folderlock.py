"""A folder that one process has to itself, until that process ends in whatever way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Held(Exception):
    """Somebody else has it."""


@contextmanager
def hold(folder: Path) -> Iterator[None]:
    """Raises: Held, OSError."""
    lock = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as held:
            raise Held(f"{folder} is in use by another pylet") from held
        yield
    finally:
        os.close(lock)
