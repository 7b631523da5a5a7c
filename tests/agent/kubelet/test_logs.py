"""Logs over their rotation: what a follower sees, what stays on the disk."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.beneath import directory
from pylet.agent.kubelet.logrotation import LogBounds, LogRotation, put_aside
from pylet.agent.kubelet.logs import LogOptions, last_lines, read
from pylet.agent.kubelet.observing import last_words
from pylet.agent.kubelet.system_logs import system_log
from pylet.aio.clock import VirtualClock
from pylet.cri.memory import MemoryRuntime
from pylet.cri.messages import ContainerState, ContainerStatus, Mount
from tests.waiting import until

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def line(text: str) -> bytes:
    return f"2026-01-02T03:04:05.000000001Z stdout F {text}\n".encode()


def aside(path: Path, now: datetime) -> None:
    with directory(path.parent) as found:
        held = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=found)
    try:
        put_aside(held, path.name, now, 5)
    finally:
        os.close(held)


async def test_following_goes_on_in_the_new_file(tmp_path: Path) -> None:
    path, running = tmp_path / "0.log", True
    path.write_bytes(line("one"))

    async def is_running() -> bool:
        return running

    pieces: asyncio.Queue[bytes] = asyncio.Queue()

    async def follow() -> None:
        async for piece in read(path, LogOptions(follow=True), is_running):
            pieces.put_nowait(piece)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(follow())
        assert await pieces.get() == b"one\n"
        aside(path, NOW)
        path.write_bytes(line("two"))
        assert await pieces.get() == b"two\n"
        running = False
        path.write_bytes(line("two") + line("three"))
    assert await pieces.get() == b"three\n"


class Writing(MemoryRuntime):
    """Begins a log anew when it may; `busy` is how many at once."""

    def __init__(self, logs: Mapping[str, Path]) -> None:
        super().__init__()
        self.logs, self.busy, self.may = logs, 0, asyncio.Event()

    async def reopen_log(self, container_id: str) -> None:
        self.busy += 1
        await self.may.wait()
        self.logs[container_id].touch()


@pytest.mark.parametrize(
    ("bounds", "seconds", "at_once", "sizes"),
    [
        pytest.param(LogBounds(10), 9, 0, [9, 10, 11, None], id="not yet"),
        pytest.param(LogBounds(10), 10, 1, [9, 0, 0, 0], id="one by one"),
        pytest.param(LogBounds(10, workers=3), 10, 3, [9, 0, 0, 0], id="all at once"),
        pytest.param(LogBounds(10, look_seconds=60), 59, 0, [9, 10, 11, None], id="seldom"),
        pytest.param(LogBounds(-1), 60, 0, [9, 10, 11, None], id="never"),
    ],
)
async def test_which_logs_are_begun_anew(
    tmp_path: Path, bounds: LogBounds, seconds: float, at_once: int, sizes: list[int | None]
) -> None:
    logs = {name: tmp_path / "logs" / "pod" / name / "0.log" for name in ("small", "full", "large", "gone")}
    for path, size in zip(logs.values(), (9, 10, 11, None), strict=True):
        path.parent.mkdir(parents=True)
        if size is not None:
            path.write_bytes(b"x" * size)
    runtime, clock = Writing(logs), VirtualClock()
    rotating = asyncio.create_task(LogRotation(runtime, clock, lambda: logs, bounds).run())
    await clock.advance(seconds)
    await until(lambda: runtime.busy == at_once)
    runtime.may.set()
    await until(lambda: [path.stat().st_size if path.exists() else None for path in logs.values()] == sizes)
    rotating.cancel()


def test_what_is_put_aside_is_compressed_and_bounded(tmp_path: Path) -> None:
    path = tmp_path / "0.log"
    for number in range(7):
        path.write_bytes(line(str(number)))
        aside(path, NOW + timedelta(seconds=number))
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == [
        "0.log.20260102-030408.gz",
        "0.log.20260102-030409.gz",
        "0.log.20260102-030410.gz",
        "0.log.20260102-030411",
    ]
    assert gzip.decompress((tmp_path / names[2]).read_bytes()) == line("5")


def test_what_a_pod_left_where_logs_are_put_aside_is_neither_read_nor_written(tmp_path: Path) -> None:
    secret, logs = tmp_path / "secret", tmp_path / "logs"
    secret.write_bytes(b"of the node")
    logs.mkdir()
    (logs / "0.log").write_bytes(line("mine"))
    for name in ("0.log.1", "0.log.1.gz", "0.log.2.tmp"):
        (logs / name).symlink_to(secret)
    os.mkfifo(logs / "0.log.3")
    aside(logs / "0.log", NOW)
    aside_again = logs / "0.log.20260102-030405"
    assert list(logs.iterdir()) == [aside_again]
    (logs / "0.log").write_bytes(line("more"))
    aside(logs / "0.log", NOW + timedelta(seconds=1))
    assert secret.read_bytes() == b"of the node"
    assert gzip.decompress((logs / "0.log.20260102-030405.gz").read_bytes()) == line("mine")


@pytest.mark.parametrize("what", ["link", "pipe", "directory"])
def test_last_words_are_a_file_s_or_none(tmp_path: Path, what: str) -> None:
    """A pod that mounts a volume of its own over its message file chooses what the node finds there."""
    (tmp_path / "secret").write_text("of the node")
    words = tmp_path / "words"
    if what == "link":
        words.symlink_to(tmp_path / "secret")
    elif what == "pipe":
        os.mkfifo(words)
    else:
        words.mkdir()
    status = ContainerStatus(
        id="c",
        state=ContainerState.EXITED,
        mounts=(Mount(container_path="/words", host_path=str(words)),),
        annotations={labels.TERMINATION_PATH: "/words"},
    )
    assert last_words(status).startswith(f"Error on reading termination log {words}: ")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("kern.log", b"hello"),
        ("again.log", b"hello"),
        ("shadow", None),
        ("above/shadow", None),
        ("pods/../../shadow", None),
        ("pipe", None),
    ],
    ids=["a file", "a link inside", "a link out", "a link to a directory outside", "dots", "a pipe"],
)
def test_system_logs_are_what_is_below_their_directory(tmp_path: Path, path: str, expected: bytes | None) -> None:
    logs = tmp_path / "log"
    (logs / "pods").mkdir(parents=True)
    (tmp_path / "shadow").write_text("of the node")
    (logs / "kern.log").write_text("hello")
    (logs / "again.log").symlink_to("kern.log")
    (logs / "shadow").symlink_to(tmp_path / "shadow")
    (logs / "above").symlink_to("..")
    os.mkfifo(logs / "pipe")
    try:
        found: Any = system_log(logs, path)
    except FileNotFoundError:
        assert expected is None
    else:
        assert found.body.decode().encode() == expected


def test_a_directory_of_system_logs_is_a_page_of_links(tmp_path: Path) -> None:
    (tmp_path / "<pods>").mkdir()
    (tmp_path / "a.log").touch()
    page: Any = system_log(tmp_path, "")
    assert page.text == '<pre>\n<a href="%3Cpods%3E/">&lt;pods&gt;/</a>\n<a href="a.log">a.log</a>\n</pre>\n'


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
