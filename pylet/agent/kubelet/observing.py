"""Look at what the runtime has of one pod, last words of its containers included."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.beneath import directory, open_file
from pylet.agent.kubelet.logs import last_lines
from pylet.agent.kubelet.observed import Container, Observed, Probed, Sandbox
from pylet.api.object import Object
from pylet.cri.interface import NotFound, Runtime
from pylet.cri.messages import Container as Listed
from pylet.cri.messages import ContainerState, ContainerStatus, SandboxState
from pylet.cri.messages import Sandbox as ListedSandbox

_MESSAGE_BYTES = 4096
_LOG_BYTES, _LOG_LINES = 2048, 80


@dataclass(slots=True)
class Observer:
    """What does not change is asked once: the addresses of a sandbox that is ready, the status of what has ended."""

    runtime: Runtime
    pod_uid: str
    is_new: bool = False
    """The runtime has nothing of it yet, so that it need not be asked the first time."""
    ids: set[str] = field(default_factory=set)
    """The pod's sandboxes and containers, by which events find it; whoever makes one adds it."""
    anew: set[str] = field(default_factory=set)
    """Ids of containers that were told to end for another to follow."""
    _ready: Sandbox | None = None
    _ended: dict[str, Container] = field(default_factory=dict)

    async def observe(self, probed: Mapping[str, Probed], enforced: Mapping[str, Object]) -> Observed:
        """Raises: CriError."""
        if self.is_new:
            self.is_new = False
            return Observed((), {}, probed, enforced)
        before = set(self.ids)
        listed = await self.runtime.list_sandboxes(pod_uid=self.pod_uid)
        sandboxes: list[Sandbox] = []
        for sandbox in sorted(listed, key=lambda s: s.created_at, reverse=True):
            if sandboxes:
                sandboxes.append(Sandbox(sandbox.id, False, sandbox.metadata.attempt, ()))
            else:
                sandboxes.append(await self._sandbox(sandbox))
        found = await self.runtime.list_containers(pod_uid=self.pod_uid)
        containers: dict[str, list[Container]] = {}
        for entry in sorted(found, key=lambda c: c.created_at, reverse=True):
            container = await self._container(entry)
            if container is not None:
                containers.setdefault(container.name, []).append(container)
        known = {entry.id for entry in found}
        self._ended = {id_: ended for id_, ended in self._ended.items() if id_ in known}
        self.anew &= known
        known.update(sandbox.id for sandbox in listed)
        self.ids.difference_update(before - known)  # not what was made meanwhile
        self.ids.update(known)
        by_name = {name: tuple(group) for name, group in containers.items()}
        return Observed(tuple(sandboxes), by_name, probed, enforced, frozenset(self.anew))

    async def _sandbox(self, entry: ListedSandbox) -> Sandbox:
        if self._ready is None or self._ready.id != entry.id or entry.state is not SandboxState.READY:
            sandbox = Sandbox.of(await self.runtime.sandbox_status(entry.id))
            self._ready = sandbox if sandbox.is_ready else None
            return sandbox
        return self._ready

    async def _container(self, entry: Listed) -> Container | None:
        if entry.id in self._ended:
            return self._ended[entry.id]
        try:
            status = await self.runtime.container_status(entry.id)
        except NotFound:  # removed since it was listed
            return None
        has_ended = status.state is ContainerState.EXITED
        container = Container.of(status, last_words(status) if has_ended else "", entry.pod_sandbox_id)
        if has_ended:
            self._ended[entry.id] = container
        return container


def last_words(status: ContainerStatus) -> str:
    """What the container left in its message file, or the end of its log where its policy says so."""
    path = status.annotations.get(labels.TERMINATION_PATH, "")
    file = next((Path(mount.host_path) for mount in status.mounts if path and mount.container_path == path), None)
    text = ""
    if file is not None:
        try:
            text = _tail(file).decode(errors="replace")
        except FileNotFoundError:
            text = ""
        except OSError as failed:
            return f"Error on reading termination log {file}: {failed.strerror}"
    falls_back = status.annotations.get(labels.TERMINATION_POLICY) == "FallbackToLogsOnError"
    if text or not falls_back or status.exit_code == 0:
        return text
    return last_lines(Path(status.log_path), most_lines=_LOG_LINES)[-_LOG_BYTES:].decode(errors="replace")


def _tail(file: Path) -> bytes:
    """A file of ours as a rule; a pod that mounts a volume of its own there may have left anything."""
    with directory(file.parent) as parent, open_file(parent, file.name) as words:
        size = words.seek(0, 2)
        words.seek(max(0, size - _MESSAGE_BYTES))
        return words.read(_MESSAGE_BYTES)
