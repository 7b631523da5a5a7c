"""Keep container logs bounded: a log that has grown is put aside and compressed, and the oldest are removed.

Source: upstream `pkg/kubelet/logs/container_log_manager.go` with its defaults.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import shutil
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

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
        aside = await asyncio.to_thread(put_aside, path, self._clock.now(), self._most_files)
        try:
            await self._runtime.reopen_log(container_id)
        except CriError:
            await asyncio.to_thread(aside.rename, path)  # it goes on writing there; tried again next time
            raise


def put_aside(path: Path, now: datetime, most_files: int) -> Path:
    """Rename the log, compress what was put aside before, and let go of the oldest."""
    _tidy(path, most_files)
    return path.rename(path.with_name(f"{path.name}.{now:%Y%m%d-%H%M%S}"))


def _tidy(path: Path, most_files: int) -> None:
    aside = sorted(path.parent.glob(f"{path.name}.*"))
    for unfinished in [other for other in aside if other.suffix == ".tmp"]:
        unfinished.unlink()
        aside.remove(unfinished)
    for oldest in aside[: max(0, len(aside) - (most_files - 2))]:
        oldest.unlink()
        aside.remove(oldest)
    for plain in [other for other in aside if other.suffix != ".gz"]:
        unfinished = plain.with_name(f"{plain.name}.tmp")
        with plain.open("rb") as text, gzip.open(unfinished, "wb") as packed:
            shutil.copyfileobj(text, packed)
        unfinished.rename(plain.with_name(f"{plain.name}.gz"))
        plain.unlink()


def _size(path: Path) -> int:
    try:
        return path.stat(follow_symlinks=False).st_size
    except OSError:
        return 0
