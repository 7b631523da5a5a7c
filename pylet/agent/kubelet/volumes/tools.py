"""The node's own programs, for what the kernel leaves to them: file systems over the network, making file systems."""

from __future__ import annotations

import asyncio
import shutil

from pylet.agent.kubelet.volumes.interface import VolumeError

_SECONDS = 120.0
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def need(program: str, package: str) -> None:
    """Raises: VolumeError, which names what to install."""
    if shutil.which(program, path=_PATH) is None:
        raise VolumeError(f"{program} is not installed on this node: install {package}")


async def run(*command: str, seconds: float = _SECONDS) -> str:
    """What the program says; it is killed if it hangs. Raises: VolumeError."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, stdin=asyncio.subprocess.DEVNULL, stdout=pipe, stderr=pipe, env={"PATH": _PATH, "LC_ALL": "C"}
    )
    try:
        async with asyncio.timeout(seconds):
            said, wrong = await process.communicate()
    except TimeoutError as hangs:
        raise VolumeError(f"{command[0]} gives no answer within {seconds:.0f} s: {' '.join(command)}") from hangs
    finally:
        if process.returncode is None:
            process.kill()
    if process.returncode:
        words = (wrong or said).decode(errors="replace").strip()
        failed, arguments = f"{command[0]} failed: exit status {process.returncode}", " ".join(command[1:])
        tried = f"{failed}\nMounting command: {command[0]}\nMounting arguments: {arguments}"
        raise VolumeError(f"{tried}\nOutput: {words}")
    return said.decode(errors="replace")


async def mount(what: str, where: str, type_: str, options: list[str]) -> None:
    """mount(8), which knows the helpers of file systems. Raises: VolumeError."""
    with_options = ["-o", ",".join(options)] if options else []
    await run("mount", "-t", type_, *with_options, what, where)
