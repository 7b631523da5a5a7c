"""Requests and answers of CRI and of containerd's event stream that only `grpc` sees; fields by their wire numbers."""

from __future__ import annotations

from collections.abc import Mapping

from pylet.cri import messages as m
from pylet.cri.features import RuntimeCondition, RuntimeFeatures, RuntimeHandler
from pylet.cri.usage import ContainerStats, FilesystemUsage
from pylet.cri.wire import at, message


@message
class Empty:
    pass


@message
class Text:
    """Any request or answer whose first field is the only one that matters: an id, a URL, an image reference."""

    text: str = at(1, "")


@message
class RunSandbox:
    config: m.SandboxConfig = at(1, m.SandboxConfig())
    runtime_handler: str = at(2, "")


@message
class SandboxStatusAnswer:
    status: m.SandboxStatus = at(1, m.SandboxStatus())


@message
class SandboxFilter:
    label_selector: Mapping[str, str] = at(3, {})


@message
class ListSandboxes:
    filter: SandboxFilter = at(1, SandboxFilter())


@message
class ListSandboxesAnswer:
    items: tuple[m.Sandbox, ...] = at(1, ())


@message
class CreateContainer:
    pod_sandbox_id: str = at(1, "")
    config: m.ContainerConfig = at(2, m.ContainerConfig())
    sandbox_config: m.SandboxConfig = at(3, m.SandboxConfig())


@message
class StopContainer:
    container_id: str = at(1, "")
    timeout: int = at(2, 0)


@message
class ContainerStatusAnswer:
    status: m.ContainerStatus = at(1, m.ContainerStatus())


@message
class ContainerFilter:
    pod_sandbox_id: str = at(3, "")
    label_selector: Mapping[str, str] = at(4, {})


@message
class ListContainers:
    filter: ContainerFilter = at(1, ContainerFilter())


@message
class ListContainersAnswer:
    containers: tuple[m.Container, ...] = at(1, ())


@message
class UpdateResources:
    container_id: str = at(1, "")
    linux: m.LinuxResources = at(2, m.LinuxResources())


@message
class ContainerStatsAnswer:
    stats: tuple[ContainerStats, ...] = at(1, ())


@message
class ExecSync:
    container_id: str = at(1, "")
    cmd: tuple[str, ...] = at(2, ())
    timeout: int = at(3, 0)


@message
class CheckpointContainer:
    container_id: str = at(1, "")
    location: str = at(2, "")
    timeout: int = at(3, 0)


@message
class Exec:
    container_id: str = at(1, "")
    cmd: tuple[str, ...] = at(2, ())
    tty: bool = at(3, False)
    stdin: bool = at(4, False)
    stdout: bool = at(5, False)
    stderr: bool = at(6, False)


@message
class Attach:
    container_id: str = at(1, "")
    stdin: bool = at(2, False)
    tty: bool = at(3, False)
    stdout: bool = at(4, False)
    stderr: bool = at(5, False)


@message
class PortForward:
    pod_sandbox_id: str = at(1, "")
    port: tuple[int, ...] = at(2, ())


@message
class ImagesAnswer:
    images: tuple[m.Image, ...] = at(1, ())


@message
class ImageRequest:
    image: m.ImageSpec = at(1, m.ImageSpec())


@message
class ImageAnswer:
    image: m.Image | None = at(1, None)


@message
class PullImage:
    image: m.ImageSpec = at(1, m.ImageSpec())
    auth: m.AuthConfig | None = at(2, None)
    sandbox_config: m.SandboxConfig | None = at(3, None)


@message
class RuntimeStatus:
    conditions: tuple[RuntimeCondition, ...] = at(1, ())


@message
class StatusAnswer:
    status: RuntimeStatus = at(1, RuntimeStatus())
    info: Mapping[str, str] = at(2, {})
    handlers: tuple[RuntimeHandler, ...] = at(3, ())
    features: RuntimeFeatures = at(4, RuntimeFeatures())


@message
class StatusRequest:
    verbose: bool = at(1, False)


@message
class ImageFilesystemsAnswer:
    image_filesystems: tuple[FilesystemUsage, ...] = at(1, ())


@message
class Subscribe:
    filters: tuple[str, ...] = at(1, ())


@message
class AnyMessage:
    type_url: str = at(1, "")
    value: bytes = at(2, b"")


@message
class Publish:
    topic: str = at(1, "")
    event: AnyMessage = at(2, AnyMessage("pylet"))


@message
class Envelope:
    topic: str = at(3, "")
    event: AnyMessage = at(4, AnyMessage())


@message
class TaskExit:
    container_id: str = at(1, "")
    id: str = at(2, "")
