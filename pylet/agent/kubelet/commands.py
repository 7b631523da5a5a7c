"""What is done to a container for who asks the kubelet itself, without a stream: run a command, keep its state.

Source: upstream `pkg/kubelet/server/server.go` (getRun, checkpoint) and `pkg/kubelet/kubelet.go` (CheckpointContainer).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pylet.agent.kubelet.reach import Reach, Refused
from pylet.agent.kubelet.spec import find_container
from pylet.api import timestamps
from pylet.cri.interface import CriError

_SECONDS = 120


@dataclass(frozen=True, slots=True)
class Commands:
    """`directory` is where checkpoints go; it is made with the first."""

    reach: Reach
    directory: Path

    async def run(self, namespace: str, pod: str, *rest: str, said: str) -> bytes:
        """What the command answers, errors last; `rest` is the container's name, behind the pod's uid if any.

        Raises: Refused, CriError.
        """
        found = await self.reach.inside(namespace, pod, *rest)
        command = said.split(" ")
        ended = await self.reach.runtime.exec_sync(found.id, command, timeout_seconds=_SECONDS)
        if ended.exit_code:
            words = ended.stderr.decode(errors="replace")
            raise Refused(500, f"command '{said}' exited with {ended.exit_code}: {words}")
        return ended.stdout + ended.stderr

    async def checkpoint(self, namespace: str, pod: str, name: str, seconds: str, now: datetime) -> Path:
        """Where the container's state is now; "0" seconds are the usual. Raises: Refused, CriError."""
        if find_container(self.reach.pod(namespace, pod), name) is None:
            raise Refused(404, f"container {name} does not exist")
        if not seconds.isdecimal():
            raise Refused(404, "cannot parse value of timeout parameter")
        location = self.directory / f"checkpoint-{pod}_{namespace}-{name}-{timestamps.format_time(now)}.tar"
        failed = f"checkpointing of {namespace}/{pod}/{name} failed"
        found = await self.reach.container(namespace, pod, name)
        if found is None:
            raise Refused(500, f"{failed} (container {name} not found)")
        try:
            self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
            await self.reach.runtime.checkpoint_container(found.id, str(location), seconds=int(seconds) or _SECONDS)
        except (CriError, OSError) as why:
            raise Refused(500, f"{failed} ({why})") from why
        return location
