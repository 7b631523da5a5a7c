"""Keep container logs bounded: a log that has grown is put aside and compressed, and the oldest are removed.

Source: upstream `pkg/kubelet/logs/container_log_manager.go` with its defaults.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import os
import shutil
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pylet.agent.kubelet.beneath import directory, open_beneath, open_file
from pylet.aio.clock import Clock
from pylet.cri.interface import CriError, Runtime

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LogBounds:
    most_bytes: int = 10 << 20
    """A container's log that has grown to that is put aside; less than 0: none ever is."""
    most_files: int = 5
    """The one that is written and those put aside."""
    workers: int = 1
    """How many are put aside at a time."""
    look_seconds: float = 10.0


class LogRotation:
    """Runs until cancelled; `running` gives the logs of running containers by container id."""

    def __init__(
        self, runtime: Runtime, clock: Clock, running: Callable[[], Mapping[str, Path]], bounds: LogBounds
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._running = running
        self._bounds = bounds
        self._turns = asyncio.Semaphore(bounds.workers)

    async def run(self) -> None:
        while self._bounds.most_bytes >= 0:
            await self._clock.sleep(self._bounds.look_seconds)
            async with asyncio.TaskGroup() as group:
                for id_, path in self._running().items():
                    size = _size(path)
                    if size is None or size >= self._bounds.most_bytes:
                        group.create_task(self._begin_anew(id_, path, is_gone=size is None))

    async def _begin_anew(self, container_id: str, path: Path, *, is_gone: bool) -> None:
        async with self._turns:
            try:
                await (self._runtime.reopen_log(container_id) if is_gone else self._rotate(container_id, path))
            except (CriError, OSError) as failed:
                log.warning("begin %s anew: %s", path, failed)

    async def _rotate(self, container_id: str, path: Path) -> None:
        top = path.parents[2]
        with directory(top) as root:
            held = open_beneath(root, str(path.parent.relative_to(top)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            aside = await asyncio.to_thread(put_aside, held, path.name, self._clock.now(), self._bounds.most_files)
            try:
                await self._runtime.reopen_log(container_id)
            except CriError:
                os.rename(aside, path.name, src_dir_fd=held, dst_dir_fd=held)  # it goes on there; tried again next time
                raise
        finally:
            os.close(held)


def put_aside(held: int, name: str, now: datetime, most_files: int) -> str:
    """Rename the log in the directory `held`, compress what was put aside before, and let go of the oldest.

    Links that a pod has left there are not followed, neither to read nor to write. Raises: OSError.
    """
    _tidy(held, name, most_files)
    aside = f"{name}.{now:%Y%m%d-%H%M%S}"
    os.rename(name, aside, src_dir_fd=held, dst_dir_fd=held)
    return aside


def _tidy(held: int, name: str, most_files: int) -> None:
    aside = sorted(other for other in os.listdir(held) if other.startswith(f"{name}."))
    for left in [other for other in aside if other.endswith(".tmp") or not _is_file(other, held)]:
        os.unlink(left, dir_fd=held)
        aside.remove(left)
    for oldest in aside[: max(0, len(aside) - (most_files - 2))]:
        os.unlink(oldest, dir_fd=held)
        aside.remove(oldest)
    for plain in [other for other in aside if not other.endswith(".gz")]:
        _compress(held, plain)


def _is_file(name: str, held: int) -> bool:
    return stat.S_ISREG(os.lstat(name, dir_fd=held).st_mode)


def _compress(held: int, plain: str) -> None:
    unfinished = f"{plain}.tmp"
    made = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640, dir_fd=held)
    with open_file(held, plain) as text, os.fdopen(made, "wb") as to, gzip.GzipFile("", "wb", fileobj=to) as packed:
        shutil.copyfileobj(text, packed)
    os.rename(unfinished, f"{plain}.gz", src_dir_fd=held, dst_dir_fd=held)
    os.unlink(plain, dir_fd=held)


def _size(path: Path) -> int | None:
    """None where somebody has removed it."""
    try:
        return path.stat(follow_symlinks=False).st_size
    except FileNotFoundError:
        return None
    except OSError:
        return 0
