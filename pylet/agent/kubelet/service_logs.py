"""What services of the node say: in the journal, else in files of their names below /var/log. Loaded when asked for."""

from __future__ import annotations

import asyncio
from asyncio.subprocess import DEVNULL, PIPE, STDOUT
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from pylet.agent.kubelet.beneath import directory, open_file
from pylet.agent.kubelet.log_query import LogQuery, file_names, journal_command, units_of

Write = Callable[[bytes], Awaitable[None]]

_SECONDS = 30.0
_PIECE_BYTES = 1 << 16


async def tell(query: LogQuery, top: Path, write: Write) -> None:
    """`top` is where files are looked for. What goes wrong is said among the rest, as upstream says it."""
    known = bytearray()

    async def note(piece: bytes) -> None:
        known.extend(piece)

    with suppress(OSError):
        await _run(["journalctl", "--field", "_SYSTEMD_UNIT"], note)
    units = {service: units_of([service], known.decode(errors="replace")) for service in query.services}
    if written := [unit for found in units.values() for unit in found]:
        try:
            await _run(journal_command(query, written), write)
        except OSError:
            await write(b"\nerror: journal output not available\n")
    elsewhere = [service for service, found in units.items() if not found]
    if elsewhere and query.has_options:
        names = f"[{' '.join(elsewhere)}]"
        await write(
            f"\noptions present and query resolved to log files for {names}\ntry without specifying options\n".encode()
        )
        return
    for service in elsewhere:
        await _file(service, top, write)


async def _run(command: list[str], write: Write) -> None:
    """All it says, however it ends; it is killed when it takes too long, or nobody reads on. Raises: OSError."""
    process = await asyncio.create_subprocess_exec(*command, stdin=DEVNULL, stdout=PIPE, stderr=STDOUT)
    assert process.stdout is not None
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(_SECONDS):
                while piece := await process.stdout.read(_PIECE_BYTES):
                    await write(piece)
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()


async def _file(service: str, top: Path, write: Write) -> None:
    for name in file_names(service):
        try:
            with directory(top) as root:
                found = open_file(root, name, follows_links=True)
        except OSError:  # not there, a directory, or a link that leads out
            continue
        with found:
            while piece := await asyncio.to_thread(found.read, _PIECE_BYTES):
                await write(piece)
        return
    await write(f"\nlog not found for {service}\n".encode())
