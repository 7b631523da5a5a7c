"""Files below a directory, found without leaving it: pods may change the path while the node looks at it.

The kernel resolves the whole path once (`openat2(2)`) and answers what it found; a name is never looked up twice.
"""

from __future__ import annotations

import ctypes
import os
import struct

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
