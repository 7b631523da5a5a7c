"""The container runtime as pylet needs it: the `Runtime` protocol, its events and its errors.

Implemented by `grpc` (a CRI v1 runtime behind a socket) and `memory` (a simulation). It knows containers, not pods of
the API. Every call but `events` answers or raises a CriError; deadlines are the caller's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from pylet.cri.features import CgroupDriver, RuntimeCondition, RuntimeFeatures, RuntimeHandler, Version
from pylet.cri.messages import (
    AuthConfig,
    Container,
    ContainerConfig,
    ContainerStatus,
    ExecResult,
    Image,
    LinuxResources,
    Sandbox,
    SandboxConfig,
    SandboxStatus,
)
from pylet.cri.usage import ContainerStats, FilesystemUsage


class CriError(Exception):
    """The runtime could not do what was asked; its message is the runtime's own words, `details` without their code."""

    def __init__(self, message: str, details: str = "") -> None:
        super().__init__(message)
        self.details = details or message


class NotFound(CriError):
    """No such sandbox, container or image."""


class AlreadyExists(CriError):
    """The name is taken, by a container or sandbox of the same pod, name and attempt."""


class Unavailable(CriError):
    """The runtime did not answer: it is not running, still starting, or lost half-way."""


class DeadlineExceeded(CriError):
    """The call, or the command run by `exec_sync`, took longer than it was given."""


class Unimplemented(CriError):
    """The runtime does not know the call."""


class PullError(CriError):
    """An image could not be pulled; `reason` is the container's waiting reason."""

    reason = "ErrImagePull"


class RegistryUnavailable(PullError):
    reason = "RegistryUnavailable"


class SignatureInvalid(PullError):
    reason = "SignatureValidationFailed"


class EventType(Enum):
    EXITED = "exited"
    """The first process of a container or sandbox ended. Its status may say so only some milliseconds later."""
    RESYNC = "resync"
    """Events may have been lost (the stream was just opened): look at everything once."""


@dataclass(frozen=True, slots=True)
class Event:
    """`id` is a container's or a sandbox's; "" for RESYNC."""

    type: EventType
    id: str = ""


class Runtime(Protocol):
    async def version(self) -> Version: ...

    async def conditions(self) -> tuple[RuntimeCondition, ...]: ...

    async def abilities(self) -> tuple[tuple[RuntimeHandler, ...], RuntimeFeatures]:
        """None is told by runtimes older than containerd 2.0."""
        ...

    async def cgroup_driver(self) -> CgroupDriver | None:
        """None is told by runtimes older than containerd 2.0."""
        ...

    # Sandboxes. `stop_sandbox` and `remove_sandbox` succeed on one that is gone.

    async def run_sandbox(self, config: SandboxConfig, *, runtime_handler: str = "") -> str: ...

    async def stop_sandbox(self, sandbox_id: str) -> None: ...

    async def remove_sandbox(self, sandbox_id: str) -> None: ...

    async def sandbox_status(self, sandbox_id: str) -> SandboxStatus: ...

    async def list_sandboxes(self, *, pod_uid: str = "") -> tuple[Sandbox, ...]: ...

    # Containers. `stop_container` and `remove_container` succeed on one that is gone.

    async def create_container(
        self, sandbox_id: str, config: ContainerConfig, sandbox_config: SandboxConfig
    ) -> str: ...

    async def start_container(self, container_id: str) -> None: ...

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        """The stop signal, then SIGKILL after `grace_seconds`; returns when the container has stopped."""
        ...

    async def remove_container(self, container_id: str) -> None: ...

    async def container_status(self, container_id: str) -> ContainerStatus: ...

    async def list_containers(self, *, sandbox_id: str = "", pod_uid: str = "") -> tuple[Container, ...]: ...

    async def update_resources(self, container_id: str, resources: LinuxResources) -> None: ...

    async def reopen_log(self, container_id: str) -> None: ...

    async def checkpoint_container(self, container_id: str, location: str, *, seconds: float) -> None:
        """Write its state to the file `location`, in that time. Raises: Unimplemented by runtimes older than 2.0."""
        ...

    async def container_stats(self) -> tuple[ContainerStats, ...]: ...

    # Commands and streams. The three that stream answer the URL of the runtime's own streaming server.

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_seconds: float) -> ExecResult:
        """Raises: DeadlineExceeded when the command was still running; it has been killed."""
        ...

    async def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str: ...

    async def attach(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str: ...

    async def port_forward(self, sandbox_id: str, ports: Sequence[int] = ()) -> str: ...

    # Images

    async def list_images(self) -> tuple[Image, ...]: ...

    async def image_status(self, reference: str) -> Image | None: ...

    async def pull_image(
        self, reference: str, *, auth: AuthConfig | None = None, sandbox_config: SandboxConfig | None = None
    ) -> str:
        """The image reference to create containers from. Raises: PullError, NotFound."""
        ...

    async def remove_image(self, reference: str) -> None: ...

    async def image_filesystems(self) -> tuple[FilesystemUsage, ...]: ...

    # Events

    def events(self) -> AsyncIterator[Event]:
        """Begins with RESYNC. Raises: Unavailable when the stream ends; ask again."""
        ...
