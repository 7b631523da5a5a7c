"""A configuration file that is followed: what is written there holds soon after, and what is wrong there never does.

Source: apiserver pkg/util/filesystem/watcher.go, pkg/server/options/{authorization,authentication}config/metrics.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime
from pathlib import Path

from pylet.aio.clock import Clock
from pylet.aio.filewatch import FileWatch
from pylet.aio.prometheus import Counter, gauge, gauges
from pylet.server import identity
from pylet.server.auth.remote.counted import hashed

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60.0


class Unfit(ValueError):
    """What a file says cannot be followed; the message says why. `may_pass`: trying again later may help."""

    def __init__(self, message: str, *, may_pass: bool = False) -> None:
        super().__init__(message)
        self.may_pass = may_pass


Use = Callable[[bytes], Awaitable[bool]]


class FollowedFile:
    """`raw` is what it said first, `use` takes what it says later: whether that is something else. It raises Unfit.

    `subject` is authorization or authentication. `run` until cancelled.
    """

    def __init__(self, file: Path, subject: str, raw: bytes, use: Use, clock: Clock) -> None:
        self._file = file
        self._subject = subject
        self._raw = self._used = raw
        self._use = use
        self._clock = clock
        self._looking = asyncio.Lock()
        self._id = hashed(identity.name_of(socket.gethostname()).encode())
        self._prefix = f"apiserver_{subject}_config_controller"
        help_ = "Times that the configuration was read again."
        self._reloads = Counter(f"{self._prefix}_automatic_reloads_total", help_, ("apiserver_id_hash", "status"))
        self._last: dict[str, datetime] = {}

    async def run(self) -> None:
        folders = {self._file.parent, self._file.resolve().parent}  # it may be a link
        async with asyncio.TaskGroup() as group:
            for folder in folders:
                group.create_task(self._follow(folder))

    async def _follow(self, folder: Path) -> None:
        try:
            async with FileWatch(folder) as watch:
                while True:
                    async with self._looking:
                        waits = _AGAIN_SECONDS if await self._look() else None
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(waits):
                            await watch.changed()
        except OSError as failed:
            log.error("changes of %s are not heard of: %s", self._file, failed)

    def metrics(self) -> Iterator[str]:
        yield from self._reloads.lines()
        known = [({"status": how, "apiserver_id_hash": self._id}, at.timestamp()) for how, at in self._last.items()]
        name = f"{self._prefix}_automatic_reload_last_timestamp_seconds"
        yield from gauges(name, "When it was last read again.", known)
        labels = {"apiserver_id_hash": self._id, "hash": hashed(self._used)}
        yield from gauge(f"{self._prefix}_last_config_info", "Which configuration holds.", labels, 1)

    async def _look(self) -> bool:
        """Whether to look again though the file does not change."""
        try:
            raw = await asyncio.to_thread(self._file.read_bytes)
            if raw == self._raw:
                return False
            if await self._use(raw):
                self._used = raw
                self._count("success")
                log.info("%s has changed: it is followed from now on", self._file)
        except (OSError, Unfit) as bad:
            self._count("failure")
            log.error("%s has changed, and what was there before still holds: %s", self._file, bad)
            if getattr(bad, "may_pass", True):
                return True
        self._raw = raw
        return False

    def _count(self, how: str) -> None:
        self._reloads.add(self._id, how)
        self._last[how] = self._clock.now()
