"""The machine's shutdown, by systemd-logind: heard of, and held up while pods end. By systemd's own tools.

Source: upstream `pkg/kubelet/nodeshutdown/systemd/inhibit_linux.go`.
"""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson

_MANAGER = ("org.freedesktop.login1", "/org/freedesktop/login1", "org.freedesktop.login1.Manager")
_SIGNAL = f"type='signal',interface='{_MANAGER[2]}',member='PrepareForShutdown'"
_OVERRIDE = Path("/etc/systemd/logind.conf.d/99-kubelet.conf")
_RELOADS = 5


class NoLogind(Exception):
    """It cannot be asked, or does not do as it is asked."""


class Lock:
    """Holds up the machine's shutdown until it is released, as long as logind lets it, or until this process ends."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def release(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        await self._process.wait()


async def lock() -> Lock:
    """Raises: NoLogind."""
    why = "--why=Kubelet needs time to handle node shutdown"
    command = ("systemd-inhibit", "--what=shutdown", "--who=kubelet", why, "--mode=delay")
    # cat says when the lock is there, and ends when its input does.
    process = await _start(*command, "sh", "-c", "echo && exec cat")
    assert process.stdout is not None
    if not await process.stdout.readline():
        raise NoLogind(f"failed creating systemd inhibitor: exit status {await process.wait()}")
    return Lock(process)


@asynccontextmanager
async def shutdowns() -> AsyncIterator[AsyncIterator[bool]]:
    """Each time: whether the machine goes down, or does not after all. Raises: NoLogind."""
    # Nothing but the death of this process ends busctl while there is nothing to say.
    process = await _start("setpriv", "--pdeathsig", "TERM", "busctl", "monitor", "--json=short", f"--match={_SIGNAL}")
    try:
        yield _told(process)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def _told(process: Process) -> AsyncIterator[bool]:
    assert process.stdout is not None
    async for line in process.stdout:
        message = orjson.loads(line)
        if message.get("member") == "PrepareForShutdown":
            yield bool(message["payload"]["data"][0])


async def allow(seconds: int) -> None:
    """See to it that logind lets its shutdown be held up for so long. Raises: NoLogind, OSError."""
    if await _allowed() >= seconds:
        return
    _override(seconds)
    await _output("systemctl", "kill", "--signal=HUP", "systemd-logind.service")
    for attempt in range(_RELOADS):
        if await _allowed() >= seconds:
            return
        await asyncio.sleep(0.1 * 2**attempt)
    raise NoLogind(f"logind does not let its shutdown be held up for {seconds} s (InhibitDelayMaxSec)")


def _override(seconds: int) -> None:
    _OVERRIDE.parent.mkdir(parents=True, exist_ok=True)
    _OVERRIDE.write_text(f"# Kubelet logind override\n[Login]\nInhibitDelayMaxSec={seconds}\n")


async def _allowed() -> float:
    words = await _output("busctl", "get-property", *_MANAGER, "InhibitDelayMaxUSec")
    return int(words.split()[1]) / 1e6


async def _output(*command: str) -> str:
    process = await _start(*command)
    out, _ = await process.communicate()
    if process.returncode:
        raise NoLogind(f"{' '.join(command[:2])}: exit status {process.returncode}")
    return out.decode()


async def _start(*command: str) -> Process:
    try:
        return await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=DEVNULL)
    except OSError as failed:
        raise NoLogind(f"{command[0]}: {failed.strerror}") from failed
