"""Says whom the kernel killed when the whole machine had no memory left: read from the kernel's own log as it comes.

Who dies of a limit of his own is told of by the runtime. Source: upstream `pkg/kubelet/oom/oom_watcher_linux.go`.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass

log = logging.getLogger(__name__)

_KILLED = re.compile(r";oom-kill:.*,global_oom,.*,task=(.*),pid=(\d+),uid=\d+$")
_RECORD_BYTES = 8192


def message(record: str) -> str | None:
    """What to say of a record of the kernel's log; None if it is of something else."""
    found = _KILLED.search(record)
    return found and f"System OOM encountered, victim process: {found[1]}, pid: {found[2]}"


def open_log() -> int:
    """A descriptor that reads what comes from now on. Raises: OSError."""
    descriptor = os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.lseek(descriptor, 0, os.SEEK_END)
    return descriptor


@dataclass(frozen=True, slots=True)
class SystemOom:
    """`run` until cancelled; `tell` makes an Event about the node: type, reason, message."""

    tell: Callable[[str, str, str], None]
    open_log: Callable[[], int] = open_log

    async def run(self) -> None:
        try:
            descriptor = self.open_log()
        except OSError as failed:
            log.info("nobody will be told when the machine runs out of memory: %s", failed)
            return
        readable = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, readable.set)
        try:
            while True:
                await readable.wait()
                readable.clear()
                for words in filter(None, map(message, _records(descriptor))):
                    log.warning("%s", words)
                    self.tell("Warning", "SystemOOM", words)
        finally:
            asyncio.get_running_loop().remove_reader(descriptor)
            os.close(descriptor)


def _records(descriptor: int) -> Iterator[str]:
    """Those that are there now."""
    with suppress(BlockingIOError):
        while True:
            with suppress(BrokenPipeError):  # the kernel wrote faster than this reads: what is lost is lost
                yield from os.read(descriptor, _RECORD_BYTES).decode(errors="replace").splitlines()
