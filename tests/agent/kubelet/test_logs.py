"""Logs over their rotation: what a follower sees, what stays on the disk."""

from __future__ import annotations

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylet.agent.kubelet.logrotation import put_aside
from pylet.agent.kubelet.logs import LogOptions, last_lines, read

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def line(text: str) -> bytes:
    return f"2026-01-02T03:04:05.000000001Z stdout F {text}\n".encode()


async def test_following_goes_on_in_the_new_file(tmp_path: Path) -> None:
    path, running = tmp_path / "0.log", True
    path.write_bytes(line("one"))

    async def is_running() -> bool:
        return running

    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        async for piece in read(path, LogOptions(follow=True), is_running):
            pieces.put_nowait(piece)

    async with asyncio.timeout(5), asyncio.TaskGroup() as group:
        group.create_task(follow())
        assert await pieces.get() == b"one\n"
        put_aside(path, NOW, 5)
        path.write_bytes(line("two"))
        assert await pieces.get() == b"two\n"
        running = False
        path.write_bytes(line("two") + line("three"))
    assert await pieces.get() == b"three\n"


def test_what_is_put_aside_is_compressed_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    for number in range(7):
        path.write_bytes(line(str(number)))
        put_aside(path, NOW + timedelta(seconds=number), 5)
    aside = sorted(entry.name for entry in tmp_path.iterdir())
    assert aside == [
        "0.log.20260102-030408.gz",
        "0.log.20260102-030409.gz",
        "0.log.20260102-030410.gz",
        "0.log.20260102-030411",
    ]
    assert gzip.decompress((tmp_path / aside[2]).read_bytes()) == line("5")


def test_the_last_lines_of_a_log_are_its_text(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    path.write_bytes(b"".join(line(str(number)) for number in range(5)))
    assert last_lines(path, most_lines=2) == b"3\n4\n"
    assert last_lines(tmp_path / "none.log", most_lines=2) == b""


@pytest.mark.parametrize(
    "link",
    [
        pytest.param("pod/main/0.log", id="a log that is a link"),
        pytest.param("pod/main", id="a directory of logs that is one"),
    ],
)
async def test_a_link_that_a_pod_left_among_the_logs_is_not_followed(tmp_path: Path, link: str) -> None:
    """A pod with /var/log of the node, written to, could else read any file of the node by `kubectl logs`."""
    logs, elsewhere = tmp_path / "pods", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "0.log").write_bytes(line("secret"))
    path = logs / "pod" / "main" / "0.log"
    (logs / link).parent.mkdir(parents=True)
    (logs / link).symlink_to(elsewhere / "0.log" if link.endswith("log") else elsewhere)
    with pytest.raises(OSError, match="symbolic links"):
        [piece async for piece in read(path, LogOptions(), _never)]
    assert last_lines(path, most_lines=9) == b""


async def _never() -> bool:
    return False
