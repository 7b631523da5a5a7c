"""Container logs in the CRI format (`<RFC3339Nano> stdout|stderr F|P text`), read as `kubectl logs` asks.

Source: upstream `pkg/kubelet/kuberuntime/logs/logs.go`.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import BinaryIO

from pylet.agent.kubelet.beneath import directory, open_file
from pylet.aio.filewatch import FileWatch
from pylet.api import timestamps

_BLOCK = 1 << 16
_STILL_RUNNING_SECONDS = 1.0


class BadLogOptions(ValueError):
    """The query of a log request cannot be served; the text says why."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    follow: bool = False
    previous: bool = False
    timestamps: bool = False
    since: datetime | None = None
    tail: int | None = None
    limit_bytes: int | None = None
    stream: str = ""
    """stdout, stderr or "" for both."""

    @classmethod
    def of(cls, query: Mapping[str, str], now: datetime) -> LogOptions:
        """From the query of a PodLogOptions request. Raises: BadLogOptions."""
        try:
            since = None
            if "sinceTime" in query:
                since = timestamps.parse(query["sinceTime"])
            elif "sinceSeconds" in query:
                since = now - timedelta(seconds=int(query["sinceSeconds"]))
            tail = int(query["tailLines"]) if "tailLines" in query else None
            limit = int(query["limitBytes"]) if "limitBytes" in query else None
        except ValueError as bad:
            raise BadLogOptions(str(bad)) from bad
        if tail is not None and tail < 0:
            raise BadLogOptions("tailLines must be greater than or equal to 0")
        if limit is not None and limit < 1:
            raise BadLogOptions("limitBytes must be greater than 0")
        stream = query.get("stream", "")
        return cls(
            _is_true(query, "follow"),
            _is_true(query, "previous"),
            _is_true(query, "timestamps"),
            since,
            tail,
            limit,
            "" if stream in ("", "All") else stream.lower(),
        )


def render(lines: bytes, options: LogOptions) -> bytes:
    """What a client sees of complete CRI log lines; lines that are not in the format are left out."""
    shown = []
    for line in lines.splitlines():
        parts = line.split(b" ", 3)
        if len(parts) < 3:
            continue
        stamp, stream, tag = parts[:3]
        if options.stream and stream.decode() != options.stream:
            continue
        if options.since is not None and timestamps.parse(stamp.decode()) < options.since:
            continue
        text = (parts[3] if len(parts) > 3 else b"") + (b"" if tag.startswith(b"P") else b"\n")
        shown.append(stamp + b" " + text if options.timestamps else text)
    return b"".join(shown)


async def read(path: Path, options: LogOptions, is_running: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """The log at `path` as a client sees it, in pieces. Following ends when the container does. Raises: OSError."""
    left = options.limit_bytes
    async for lines in _lines(path, options, is_running):
        piece = render(lines, options)
        if left is not None:
            piece = piece[:left]
            left -= len(piece)
        if piece:
            yield piece
        if left == 0:
            return


async def _lines(path: Path, options: LogOptions, is_running: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    is_first = True
    while True:
        with _open(path) as file:
            if is_first and options.tail is not None:
                file.seek(_tail_offset(file, options.tail))
            is_first = False
            if not options.follow:
                rest = b""
                for block in _blocks(file):
                    whole, rest = _whole_lines(rest + block)
                    yield whole
                yield rest
                return
            async for piece in _growth(file, path, is_running):
                yield piece
            if not _was_put_aside(file, path):
                return


async def _growth(file: BinaryIO, path: Path, is_running: Callable[[], Awaitable[bool]]) -> AsyncIterator[bytes]:
    """Whole lines as they are written, until the container ends or its log is put aside for a new one."""
    rest = b""
    async with FileWatch(path) as watch:
        while True:
            # Asked before reading: what is written until the container ends is then certainly read.
            is_over = _was_put_aside(file, path) or not await is_running()
            for block in _blocks(file):
                whole, rest = _whole_lines(rest + block)
                yield whole
            if is_over:
                yield rest
                return
            try:
                async with asyncio.timeout(_STILL_RUNNING_SECONDS):
                    await watch.changed()
            except TimeoutError:
                continue


def _was_put_aside(file: BinaryIO, path: Path) -> bool:
    """Whether `path` is another file by now; while it is none, the new one is about to be made."""
    try:
        return os.stat(path).st_ino != os.fstat(file.fileno()).st_ino
    except FileNotFoundError:
        return False


def last_lines(path: Path, *, most_lines: int) -> bytes:
    """The text of the last lines of a log; empty where there is none."""
    try:
        with _open(path) as file:
            file.seek(_tail_offset(file, most_lines))
            return render(file.read(), LogOptions())
    except OSError:
        return b""


def _open(path: Path) -> BinaryIO:
    """`<pods' logs>/<pod>/<container>/<file>`: a pod that may write there could leave links to any file of the node."""
    top = path.parents[2]
    with directory(top) as root:
        return open_file(root, str(path.relative_to(top)))


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(_BLOCK):
        yield block


def _whole_lines(data: bytes) -> tuple[bytes, bytes]:
    end = data.rfind(b"\n") + 1
    return data[:end], data[end:]


def _tail_offset(file: BinaryIO, lines: int) -> int:
    """Where the last `lines` lines begin."""
    end = file.seek(0, 2)
    if lines == 0:
        return end
    at, missing = end, lines + 1  # the line break that ends the last line counts, too
    while at > 0:
        start = max(0, at - _BLOCK)
        file.seek(start)
        block = file.read(at - start)
        found = block.count(b"\n")
        if found >= missing:
            for _ in range(missing):
                block = block[: block.rfind(b"\n")]
            return start + len(block) + 1
        missing -= found
        at = start
    return 0


def _is_true(query: Mapping[str, str], name: str) -> bool:
    return query.get(name, "").lower() in ("true", "1", "t")
