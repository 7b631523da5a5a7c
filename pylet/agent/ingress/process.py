"""One HAProxy, master and worker, that outlives the agent: started, adopted, reloaded, told and stopped.

It runs as a daemon, known by its pid file, so that an agent that restarts finds it and no request notices.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import re
import shutil
import signal
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from pylet.agent.ingress.haproxy import MAIN, SOCKET
from pylet.aio.clock import Clock

_PID, _ERRORS = "haproxy.pid", "haproxy.err"
_START_SECONDS = 20.0
_LOOK_SECONDS = 0.05
_LOOKS_A_SIGNAL = 40
_LINES_AT_ONCE = 50
_BIND = re.compile(r"^    bind \S+:(\d+)", re.MULTILINE)
_OURS = (".pem", ".map", ".list")
_FINE = ("New server registered", "Already exists a server", "Server deleted", "Server still has connections")
SEARCHED = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
"""Where haproxy is looked for: a service's PATH may lack what packages of daemons go to."""


class HaproxyError(Exception):
    """HAProxy refused something; the message is its own."""


class Missing(HaproxyError):
    """There is no haproxy on this machine."""


class Haproxy:
    """What runs from `directory`; nothing is held but its files."""

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock

    async def apply(self, files: Mapping[str, bytes], generation: str) -> None:
        """Run with these files: start, or reload and wait until the new worker serves. Raises: HaproxyError."""
        program = shutil.which("haproxy", path=SEARCHED)
        if program is None:
            raise Missing("no haproxy on this machine: install the package haproxy")
        self.write(files)
        main = str(self._directory / MAIN)
        await self._run(program, "-q", "-c", "-f", main)
        pid = self.pid()
        if pid is None:
            await self._run(program, "-q", "-W", "-D", "-p", str(self._directory / _PID), "-f", main)
        try:
            async with asyncio.timeout(_START_SECONDS):
                await self._until_served(pid, generation)
        except TimeoutError as late:
            raise HaproxyError(f"haproxy does not take its configuration within {_START_SECONDS:.0f} s") from late

    async def _until_served(self, pid: int | None, generation: str) -> None:
        for look in itertools.count():
            if pid is not None and look % _LOOKS_A_SIGNAL == 0:
                os.kill(pid, signal.SIGUSR2)  # again after a while: a master that has just started may lose one
            if generation in await self._said("show info"):
                return
            await self._clock.sleep(_LOOK_SECONDS)

    def write(self, files: Mapping[str, bytes]) -> None:
        """For the next start or reload."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        for there in self._directory.iterdir():
            if there.suffix in _OURS and there.name not in files:
                there.unlink()
        for name, content in files.items():
            fresh = self._directory / f".{name}"
            with open(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(content)
            fresh.replace(self._directory / name)

    async def command(self, lines: Iterable[str]) -> None:
        """Raises: HaproxyError: then only a reload brings it to what the lines mean."""
        waiting = list(lines)
        while waiting:
            batch, waiting = waiting[:_LINES_AT_ONCE], waiting[_LINES_AT_ONCE:]
            for line in (await self._said(";".join(batch))).splitlines():
                if line and not line.startswith(_FINE):
                    raise HaproxyError(line)

    def ports(self) -> set[int]:
        """Those the running one has; none when it is gone."""
        if self.pid() is None:
            return set()
        return {int(number) for number in _BIND.findall((self._directory / MAIN).read_text())}

    def pid(self) -> int | None:
        """The running master's; None when it is gone."""
        with contextlib.suppress(OSError, ValueError):
            pid = int((self._directory / _PID).read_text())
            if str(self._directory).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        return None

    def on_end(self, told: Callable[[], None]) -> Callable[[], None]:
        """Call `told` once when the running one ends; returns how to stop waiting for it."""
        pid = self.pid()
        try:
            descriptor = os.pidfd_open(pid or 0)
        except OSError:
            told()
            return lambda: None
        loop, is_open = asyncio.get_running_loop(), [True]

        def close() -> None:
            if is_open:
                is_open.clear()
                loop.remove_reader(descriptor)
                os.close(descriptor)

        def ended() -> None:
            close()
            told()

        loop.add_reader(descriptor, ended)
        return close

    def stop(self) -> None:
        """What is being answered is answered to its end."""
        pid = self.pid()
        if pid is not None:
            # A master that has only just started may lose a signal; without its workers it ends all the same.
            workers = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            for each in (pid, *map(int, workers)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGUSR1)
        if self._directory.exists():
            shutil.rmtree(self._directory)

    async def _run(self, *command: str) -> None:
        # A file, not a pipe: the daemon would keep a pipe open.
        with (self._directory / _ERRORS).open("w+") as errors:
            process = await asyncio.create_subprocess_exec(
                *command,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                start_new_session=True,
                cwd="/",
            )  # not where the agent was started: that may go, and a master without a directory reloads nothing
            try:
                async with asyncio.timeout(_START_SECONDS):
                    code = await process.wait()
            except TimeoutError as late:
                process.kill()
                raise HaproxyError(f"haproxy does not come up within {_START_SECONDS:.0f} s") from late
            if code:
                errors.seek(0)
                said = [line for line in errors.read().splitlines() if "ALERT" in line]
                raise HaproxyError("; ".join(said[:3]) or f"haproxy exits with {code}")

    async def _said(self, line: str) -> str:
        try:
            reader, writer = await asyncio.open_unix_connection(str(self._directory / SOCKET))
        except OSError as failed:
            raise HaproxyError(f"haproxy's socket: {failed}") from failed
        try:
            writer.write(line.encode() + b"\n")
            return (await reader.read()).decode(errors="replace")
        except OSError as failed:
            raise HaproxyError(f"haproxy's socket: {failed}") from failed
        finally:
            writer.close()
