"""Wake up when a file grows, is renamed or removed, or the entries of a directory change: inotify on the event loop."""

from __future__ import annotations

import asyncio
import ctypes
import os
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_MODIFY, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x800, 0x400
_IN_ENTRIES = 0x40 | 0x80 | 0x100 | 0x200  # moved from, moved to, created, deleted
_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """`async with FileWatch(path) as watch: await watch.changed()`. Raises: OSError when the file is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._descriptor = -1

    async def __aenter__(self) -> Self:
        self._descriptor = _libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = _IN_MODIFY | _IN_MOVE_SELF | _IN_DELETE_SELF | _IN_ENTRIES
        if self._descriptor < 0 or _libc.inotify_add_watch(self._descriptor, os.fsencode(self._path), mask) < 0:
            number = ctypes.get_errno()
            self._close()
            raise OSError(number, f"watch {self._path}: {os.strerror(number)}")
        asyncio.get_running_loop().add_reader(self._descriptor, self._drain)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.get_running_loop().remove_reader(self._descriptor)
        self._close()

    async def changed(self) -> None:
        """Wait for a change since the last call."""
        await self._changed.wait()
        self._changed.clear()

    def _drain(self) -> None:
        try:
            os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        self._changed.set()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
