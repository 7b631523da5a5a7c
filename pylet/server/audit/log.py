"""The file events go to: one JSON line each, written by a thread in batches, turned over when it is large.

An answer waits until its line is written, so that who has it finds it; a full disk or a slow one holds it up for a
second at most, and what does not fit the bound is dropped, counted and said.
Backups are named and kept as lumberjack does upstream: `audit-2026-01-02T03-04-05.000.log`.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import orjson

from pylet.api.object import Object

log = logging.getLogger(__name__)

_WAITING_BYTES = 32 << 20
_MOST_SECONDS = 1.0  # that an answer waits; a line takes 0.2 ms
_MEGABYTE = 1 << 20
_STAMP = "%Y-%m-%dT%H-%M-%S.%f"


@dataclass(frozen=True, slots=True)
class Rotation:
    """0 means: 100 MB, all backups, for ever."""

    max_age_days: int = 0
    max_backups: int = 0
    max_megabytes: int = 0


class AuditLog:
    """`path` "-" is standard output. Nothing is written before `run`."""

    def __init__(self, path: str, rotation: Rotation, now: Callable[[], datetime]) -> None:
        self._path = path
        self._rotation = rotation
        self._now = now
        self._lines: list[bytes] = []
        self._waiting_bytes = 0
        self._dropped = 0
        self.told = self.lost = 0
        self._wake = asyncio.Event()
        self._batch, self._newest = asyncio.Event(), asyncio.Event()
        """That the lines which wait now are written, and that the last that was added is."""
        self._newest.set()
        self._writing = asyncio.Lock()

    def add(self, event: Object) -> None:
        line = orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE)
        self.told += 1
        if self._waiting_bytes + len(line) > _WAITING_BYTES:
            self._dropped += 1
            self.lost += 1
            return
        self._lines.append(line)
        self._newest = self._batch
        self._waiting_bytes += len(line)
        self._wake.set()

    async def written(self) -> None:
        """Wait until what has been added is written, or lost."""
        if not (newest := self._newest).is_set():
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_MOST_SECONDS):
                    await newest.wait()

    async def run(self) -> None:
        """Write until cancelled, and then what is left."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await asyncio.shield(self._flush())  # a thread that has begun ends
        finally:
            await self._flush()

    async def _flush(self) -> None:
        async with self._writing:
            await self._write_waiting()

    async def _write_waiting(self) -> None:
        lines, self._lines, self._waiting_bytes = self._lines, [], 0
        batch, self._batch = self._batch, asyncio.Event()
        dropped, self._dropped = self._dropped, 0
        if dropped:
            log.error("%d audit events were dropped: %s is too slow", dropped, self._path)
        if lines:
            try:
                await asyncio.to_thread(self._write, lines)
            except OSError as failed:
                self.lost += len(lines)
                log.error("%d audit events are lost: write %s: %s", len(lines), self._path, failed)
            finally:
                batch.set()

    def _write(self, lines: list[bytes]) -> None:
        if self._path == "-":
            sys.stdout.buffer.writelines(lines)
            sys.stdout.buffer.flush()
            return
        path = Path(self._path)
        path.parent.mkdir(parents=True, exist_ok=True)
        limit = (self._rotation.max_megabytes or 100) * _MEGABYTE
        size = path.stat().st_size if path.exists() else 0
        start = 0
        for at, line in enumerate(lines):
            if size and size + len(line) > limit:
                _append(path, lines[start:at])
                self._turn_over(path)
                start, size = at, 0
            size += len(line)
        _append(path, lines[start:])

    def _turn_over(self, path: Path) -> None:
        now = self._now()
        path.replace(path.with_name(f"{path.stem}-{now.strftime(_STAMP)[:-3]}{path.suffix}"))
        backups = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"), reverse=True)
        oldest = now - timedelta(days=self._rotation.max_age_days)
        for at, backup in enumerate(backups):
            is_surplus = bool(self._rotation.max_backups) and at >= self._rotation.max_backups
            is_old = bool(self._rotation.max_age_days) and backup.stat().st_mtime < oldest.timestamp()
            if is_surplus or is_old:
                backup.unlink(missing_ok=True)


def _append(path: Path, lines: list[bytes]) -> None:
    if lines:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as file:
            file.writelines(lines)
