"""Whom the kernel killed when the machine had no memory left."""

from __future__ import annotations

import asyncio
import os

import pytest

from pylet.agent.kubelet.system_oom import SystemOom, message

_HEAD = "6,1024,99000000,-;"
_GLOBAL = (
    f"{_HEAD}oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0,global_oom,"
    "task_memcg=/kubepods/besteffort/pod1/c,task=dd,pid=812,uid=0"
)
_OF_A_LIMIT = _GLOBAL.replace("global_oom,", "oom_memcg=/kubepods/burstable/pod1,").replace("_NONE", "_MEMCG")
_WORDS = "System OOM encountered, victim process: dd, pid: 812"


@pytest.mark.parametrize(
    ("record", "words"),
    [
        pytest.param(_GLOBAL, _WORDS, id="the machine had none left"),
        pytest.param(_OF_A_LIMIT, None, id="a container had reached its own limit"),
        pytest.param(f"{_HEAD}Out of memory: Killed process 812 (dd) total-vm:1kB", None, id="the line after it"),
        pytest.param(f"{_HEAD}br0: port 1(veth1) entered forwarding state", None, id="something else"),
    ],
)
def test_only_the_death_that_nobody_was_limited_to_is_told_of(record: str, words: str | None) -> None:
    assert message(record) == words


async def test_what_the_kernel_writes_is_told_as_it_comes() -> None:
    reads, writes = os.pipe2(os.O_NONBLOCK)
    said: asyncio.Queue[tuple[str, str, str]] = asyncio.Queue()
    watching = asyncio.create_task(SystemOom(lambda *words: said.put_nowait(words), lambda: reads).run())
    for _ in range(2):
        os.write(writes, f"{_OF_A_LIMIT}\n{_GLOBAL}\n".encode())
        assert await said.get() == ("Warning", "SystemOOM", _WORDS)
    assert said.empty()
    watching.cancel()
    os.close(writes)


async def test_a_log_that_cannot_be_read_is_no_failure() -> None:
    def refused() -> int:
        raise PermissionError

    await SystemOom(print, refused).run()
