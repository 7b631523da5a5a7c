"""Files below a directory, found without leaving it: pods may change the path while the node looks at it.

The kernel resolves the whole path once (`openat2(2)`) and answers what it found; a name is never looked up twice.
"""

from __future__ import annotations

import ctypes
import errno
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

_OPENAT2 = 437  # the same number on every architecture
_NO_MAGIC_LINKS, _NO_LINKS, _BENEATH = 0x02, 0x04, 0x08

_libc = ctypes.CDLL(None, use_errno=True)


def open_beneath(root: int, path: str, flags: int, *, follows_links: bool = False) -> int:
    """A descriptor; links that lead out of `root` are refused even where links are followed. Raises: OSError."""
    resolve = _BENEATH | (_NO_MAGIC_LINKS if follows_links else _NO_LINKS)
    how = struct.pack("QQQ", flags | os.O_CLOEXEC, 0, resolve)
    descriptor = _libc.syscall(_OPENAT2, root, os.fsencode(path), how, len(how))
    if descriptor < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path)
    return int(descriptor)


@contextmanager
def directory(path: Path) -> Iterator[int]:
    """A descriptor to look below. Raises: OSError."""
    opened = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield opened
    finally:
        os.close(opened)


def open_file(root: int, path: str, *, follows_links: bool = False) -> BinaryIO:
    """To read; what is no regular file is refused: nobody waits for a pipe's other end. Raises: OSError."""
    descriptor = open_beneath(root, path, os.O_RDONLY | os.O_NONBLOCK, follows_links=follows_links)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "not a regular file", path)
    return os.fdopen(descriptor, "rb")
