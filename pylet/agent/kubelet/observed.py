"""What the runtime has of one pod, in the terms that deciding needs. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from pylet.agent.kubelet import labels
from pylet.api.object import Object
from pylet.cri.messages import ContainerState, ContainerStatus, LinuxResources, SandboxState, SandboxStatus


@dataclass(frozen=True, slots=True)
class Probed:
    """What the probes of one running container say; None where there is no such probe or no answer yet."""

    started: bool | None = None
    ready: bool | None = None
    live: bool | None = None


UNPROBED = Probed()
GROUP = "/"
"""Stands where a container's id does."""


@dataclass(frozen=True, slots=True)
class Container:
    id: str
    name: str
    restarts: int
    state: ContainerState
    started_at: datetime | None
    finished_at: datetime | None
    exit_code: int
    reason: str
    message: str
    image: str
    image_ref: str
    hash: str
    sandbox_id: str = ""
    user: tuple[int, int, tuple[int, ...]] | None = None
    """uid, gid and supplementary groups of its first process, where the runtime tells."""
    resources: LinuxResources | None = None
    """What the runtime says it enforces; None where it does not tell."""

    @property
    def is_running(self) -> bool:
        return self.state is ContainerState.RUNNING

    @property
    def is_finished(self) -> bool:
        return self.state is ContainerState.EXITED

    @classmethod
    def of(cls, status: ContainerStatus, message: str = "", sandbox_id: str = "") -> Container:
        user = status.user.linux if status.user is not None else None
        return cls(
            status.id,
            status.metadata.name,
            int(status.annotations.get(labels.RESTART_COUNT, status.metadata.attempt)),
            status.state,
            _moment(status.started_at),
            _moment(status.finished_at),
            status.exit_code,
            status.reason,
            ": ".join(part for part in (status.message, message) if part),
            status.image.user_specified_image or status.image.image,
            status.image_ref,
            status.annotations.get(labels.CONTAINER_HASH, ""),
            sandbox_id,
            (user.uid, user.gid, user.supplemental_groups) if user is not None else None,
            status.resources.linux if status.resources is not None else None,
        )


@dataclass(frozen=True, slots=True)
class Sandbox:
    id: str
    is_ready: bool
    attempt: int
    ips: tuple[str, ...]

    @classmethod
    def of(cls, status: SandboxStatus) -> Sandbox:
        return cls(status.id, status.state is SandboxState.READY, status.metadata.attempt, status.ips)


@dataclass(frozen=True, slots=True)
class Observed:
    """`sandboxes` newest first; `containers` newest first within a name.

    `probed` and `enforced` (the resources the runtime was told; the pod's own under "", those of its group under
    GROUP) by container id; `anew` are the ids of containers that were told to end for another to follow.
    """

    sandboxes: tuple[Sandbox, ...] = ()
    containers: Mapping[str, tuple[Container, ...]] = field(default_factory=dict)
    probed: Mapping[str, Probed] = field(default_factory=dict)
    enforced: Mapping[str, Object] = field(default_factory=dict)
    anew: Collection[str] = ()

    @property
    def sandbox(self) -> Sandbox | None:
        """The one the pod runs in, if it is ready."""
        return self.sandboxes[0] if self.sandboxes and self.sandboxes[0].is_ready else None

    def latest(self, name: str) -> Container | None:
        return self.containers[name][0] if self.containers.get(name) else None

    def current(self, name: str) -> Container | None:
        """The newest instance if it belongs to the newest sandbox."""
        last = self.latest(name)
        here = self.sandboxes[0].id if self.sandboxes else ""
        return last if last is not None and last.sandbox_id in ("", here) else None

    def probes(self, container: Container) -> Probed:
        return self.probed.get(container.id, UNPROBED)

    @property
    def running(self) -> list[Container]:
        return [container for group in self.containers.values() for container in group if container.is_running]


def _moment(nanoseconds: int) -> datetime | None:
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC) if nanoseconds > 0 else None
