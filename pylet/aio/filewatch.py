"""Wake up when a file grows, is renamed or removed, or the entries of a directory change: inotify on the event loop."""

from __future__ import annotations

import asyncio
import ctypes
import os
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

_IN_MODIFY, _IN_MOVE_SELF, _IN_DELETE_SELF = 0x2, 0x800, 0x400
_IN_GONE = 0x40 | 0x200  # moved from, deleted
_IN_ENTRIES = _IN_GONE | 0x80 | 0x100  # moved to, created
_EVENT = struct.Struct("iIII")  # the last is the length of the name that follows
_libc = ctypes.CDLL(None, use_errno=True)


class FileWatch:
    """`async with FileWatch(path) as watch: await watch.changed()`. Raises: OSError when the file is not there."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._changed = asyncio.Event()
        self._gone: set[str] = set()
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

    async def changed(self) -> set[str]:
        """Wait for a change since the last call; names that went away meanwhile, whatever has come in their place."""
        await self._changed.wait()
        self._changed.clear()
        gone, self._gone = self._gone, set()
        return gone

    def _drain(self) -> None:
        try:
            events = os.read(self._descriptor, 1 << 16)
        except BlockingIOError:
            return
        self._gone |= set(_gone(events))
        self._changed.set()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def _gone(events: bytes) -> Iterator[str]:
    at = 0
    while at < len(events):
        _, mask, _, length = _EVENT.unpack_from(events, at)
        at += _EVENT.size + length
        if mask & _IN_GONE:
            yield os.fsdecode(events[at - length : at].rstrip(b"\0"))
