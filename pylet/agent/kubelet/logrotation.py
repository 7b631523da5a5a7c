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
from datetime import datetime
from pathlib import Path

from pylet.agent.kubelet.beneath import directory, open_beneath, open_file
from pylet.aio.clock import Clock
from pylet.cri.interface import CriError, Runtime

log = logging.getLogger(__name__)

_LOOK_SECONDS = 10


class LogRotation:
    """Runs until cancelled; `running` gives the logs of running containers by container id.

    `most_files` are the one that is written and those put aside.
    """

    def __init__(
        self,
        runtime: Runtime,
        clock: Clock,
        running: Callable[[], Mapping[str, Path]],
        *,
        most_bytes: int,
        most_files: int,
    ) -> None:
        self._runtime = runtime
        self._clock = clock
        self._running = running
        self._most_bytes = most_bytes
        self._most_files = most_files

    async def run(self) -> None:
        while True:
            await self._clock.sleep(_LOOK_SECONDS)
            for id_, path in self._running().items():
                if _size(path) > self._most_bytes:
                    try:
                        await self._rotate(id_, path)
                    except (CriError, OSError) as failed:
                        log.warning("rotate %s: %s", path, failed)

    async def _rotate(self, container_id: str, path: Path) -> None:
        top = path.parents[2]
        with directory(top) as root:
            held = open_beneath(root, str(path.parent.relative_to(top)), os.O_RDONLY | os.O_DIRECTORY)
        try:
            aside = await asyncio.to_thread(put_aside, held, path.name, self._clock.now(), self._most_files)
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


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
