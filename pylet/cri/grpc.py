"""A `Runtime` behind a CRI v1 socket: containerd 1.6 and later.

Exits come from containerd's native event stream, because 1.6 has no CRI GetContainerEvents. Error texts read as
upstream's kubelet shows them ("rpc error: code = …"). It decides nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from pylet.cri import interface as cri
from pylet.cri import messages as m
from pylet.cri import wire
from pylet.cri.messages import at, message
from pylet.cri.socket import CallError, ServiceSocket

T = TypeVar("T")

# Upstream's runtimeRequestTimeout: a hung runtime fails a call instead of holding a pod's worker for ever.
_CALL_SECONDS = 120.0
_POD_UID_LABEL = "io.kubernetes.pod.uid"
_EVENTS = "/containerd.services.events.v1.Events"
_NAMESPACE = "k8s.io"
_FENCE = "/pylet/subscribed"
_FENCE_SECONDS = 0.1
_FILTERS = (f'topic=="/tasks/exit",namespace=={_NAMESPACE}', f'topic=="{_FENCE}"')


@message
class _Empty:
    pass


@message
class _Text:
    """Any request or answer whose first field is the only one that matters: an id, a URL, an image reference."""

    text: str = at(1, "")


@message
class _RunSandbox:
    config: m.SandboxConfig = at(1, m.SandboxConfig())
    runtime_handler: str = at(2, "")


@message
class _SandboxStatusAnswer:
    status: m.SandboxStatus = at(1, m.SandboxStatus())


@message
class _SandboxFilter:
    label_selector: Mapping[str, str] = at(3, {})


@message
class _ListSandboxes:
    filter: _SandboxFilter = at(1, _SandboxFilter())


@message
class _ListSandboxesAnswer:
    items: tuple[m.Sandbox, ...] = at(1, ())


@message
class _CreateContainer:
    pod_sandbox_id: str = at(1, "")
    config: m.ContainerConfig = at(2, m.ContainerConfig())
    sandbox_config: m.SandboxConfig = at(3, m.SandboxConfig())


@message
class _StopContainer:
    container_id: str = at(1, "")
    timeout: int = at(2, 0)


@message
class _ContainerStatusAnswer:
    status: m.ContainerStatus = at(1, m.ContainerStatus())


@message
class _ContainerFilter:
    pod_sandbox_id: str = at(3, "")
    label_selector: Mapping[str, str] = at(4, {})


@message
class _ListContainers:
    filter: _ContainerFilter = at(1, _ContainerFilter())


@message
class _ListContainersAnswer:
    containers: tuple[m.Container, ...] = at(1, ())


@message
class _UpdateResources:
    container_id: str = at(1, "")
    linux: m.LinuxResources = at(2, m.LinuxResources())


@message
class _ContainerStatsAnswer:
    stats: tuple[m.ContainerStats, ...] = at(1, ())


@message
class _ExecSync:
    container_id: str = at(1, "")
    cmd: tuple[str, ...] = at(2, ())
    timeout: int = at(3, 0)


@message
class _Exec:
    container_id: str = at(1, "")
    cmd: tuple[str, ...] = at(2, ())
    tty: bool = at(3, False)
    stdin: bool = at(4, False)
    stdout: bool = at(5, False)
    stderr: bool = at(6, False)


@message
class _Attach:
    container_id: str = at(1, "")
    stdin: bool = at(2, False)
    tty: bool = at(3, False)
    stdout: bool = at(4, False)
    stderr: bool = at(5, False)


@message
class _PortForward:
    pod_sandbox_id: str = at(1, "")
    port: tuple[int, ...] = at(2, ())


@message
class _ImagesAnswer:
    images: tuple[m.Image, ...] = at(1, ())


@message
class _ImageRequest:
    image: m.ImageSpec = at(1, m.ImageSpec())


@message
class _ImageAnswer:
    image: m.Image | None = at(1, None)


@message
class _PullImage:
    image: m.ImageSpec = at(1, m.ImageSpec())
    auth: m.AuthConfig | None = at(2, None)
    sandbox_config: m.SandboxConfig | None = at(3, None)


@message
class _RuntimeStatus:
    conditions: tuple[m.RuntimeCondition, ...] = at(1, ())


@message
class _StatusAnswer:
    status: _RuntimeStatus = at(1, _RuntimeStatus())
    info: Mapping[str, str] = at(2, {})
    handlers: tuple[m.RuntimeHandler, ...] = at(3, ())
    features: m.RuntimeFeatures = at(4, m.RuntimeFeatures())


@message
class _StatusRequest:
    verbose: bool = at(1, False)


@message
class _ImageFilesystemsAnswer:
    image_filesystems: tuple[m.FilesystemUsage, ...] = at(1, ())


@message
class _Subscribe:
    filters: tuple[str, ...] = at(1, ())


@message
class _AnyMessage:
    type_url: str = at(1, "")
    value: bytes = at(2, b"")


@message
class _Publish:
    topic: str = at(1, "")
    event: _AnyMessage = at(2, _AnyMessage("pylet"))


@message
class _Envelope:
    topic: str = at(3, "")
    event: _AnyMessage = at(4, _AnyMessage())


@message
class _TaskExit:
    container_id: str = at(1, "")
    id: str = at(2, "")


class GrpcRuntime:
    """`socket` is the path of the runtime's socket. Connects on first use and again whenever the runtime returns."""

    def __init__(self, socket: str) -> None:
        self._own_image: str | None = None
        self._socket = ServiceSocket(socket)

    async def close(self) -> None:
        await self._socket.close()

    async def version(self) -> m.Version:
        return await self._runtime("Version", _Text("v1"), m.Version)

    async def conditions(self) -> tuple[m.RuntimeCondition, ...]:
        return (await self._runtime("Status", _Empty(), _StatusAnswer)).status.conditions

    async def abilities(self) -> tuple[tuple[m.RuntimeHandler, ...], m.RuntimeFeatures]:
        answer = await self._runtime("Status", _Empty(), _StatusAnswer)
        return answer.handlers, answer.features

    async def run_sandbox(self, config: m.SandboxConfig, *, runtime_handler: str = "") -> str:
        # Network plugins may be slow: upstream doubles the deadline too.
        request = _RunSandbox(config, runtime_handler)
        return (await self._runtime("RunPodSandbox", request, _Text, seconds=2 * _CALL_SECONDS)).text

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._gone_is_fine("StopPodSandbox", _Text(sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._gone_is_fine("RemovePodSandbox", _Text(sandbox_id))

    async def sandbox_status(self, sandbox_id: str) -> m.SandboxStatus:
        return (await self._runtime("PodSandboxStatus", _Text(sandbox_id), _SandboxStatusAnswer)).status

    async def list_sandboxes(self, *, pod_uid: str = "") -> tuple[m.Sandbox, ...]:
        request = _ListSandboxes(_SandboxFilter(_labels(pod_uid)))
        return (await self._runtime("ListPodSandbox", request, _ListSandboxesAnswer)).items

    async def create_container(
        self, sandbox_id: str, config: m.ContainerConfig, sandbox_config: m.SandboxConfig
    ) -> str:
        request = _CreateContainer(sandbox_id, config, sandbox_config)
        return (await self._runtime("CreateContainer", request, _Text)).text

    async def start_container(self, container_id: str) -> None:
        await self._runtime("StartContainer", _Text(container_id), _Empty)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        request = _StopContainer(container_id, grace_seconds)
        await self._gone_is_fine("StopContainer", request, seconds=_CALL_SECONDS + grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        await self._gone_is_fine("RemoveContainer", _Text(container_id))

    async def container_status(self, container_id: str) -> m.ContainerStatus:
        return (await self._runtime("ContainerStatus", _Text(container_id), _ContainerStatusAnswer)).status

    async def list_containers(self, *, sandbox_id: str = "", pod_uid: str = "") -> tuple[m.Container, ...]:
        request = _ListContainers(_ContainerFilter(sandbox_id, _labels(pod_uid)))
        return (await self._runtime("ListContainers", request, _ListContainersAnswer)).containers

    async def update_resources(self, container_id: str, resources: m.LinuxResources) -> None:
        await self._runtime("UpdateContainerResources", _UpdateResources(container_id, resources), _Empty)

    async def reopen_log(self, container_id: str) -> None:
        await self._runtime("ReopenContainerLog", _Text(container_id), _Empty)

    async def container_stats(self) -> tuple[m.ContainerStats, ...]:
        return (await self._runtime("ListContainerStats", _Empty(), _ContainerStatsAnswer)).stats

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_seconds: float) -> m.ExecResult:
        request = _ExecSync(container_id, tuple(command), max(1, round(timeout_seconds)))
        return await self._runtime("ExecSync", request, m.ExecResult, seconds=_CALL_SECONDS + timeout_seconds)

    async def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        request = _Exec(container_id, tuple(command), tty, stdin, stdout, stderr)
        return (await self._runtime("Exec", request, _Text)).text

    async def attach(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        return (await self._runtime("Attach", _Attach(container_id, stdin, tty, stdout, stderr), _Text)).text

    async def port_forward(self, sandbox_id: str, ports: Sequence[int] = ()) -> str:
        return (await self._runtime("PortForward", _PortForward(sandbox_id, tuple(ports)), _Text)).text

    async def list_images(self) -> tuple[m.Image, ...]:
        listed = (await self._images("ListImages", _Empty(), _ImagesAnswer)).images
        own = await self._sandbox_image()
        return tuple(replace(image, pinned=True) if own in image.repo_tags else image for image in listed)

    async def _sandbox_image(self) -> str:
        """That of all sandboxes, of which containerd 1.6 does not say that it must stay. "" where nobody knows."""
        if self._own_image is None:
            status = await self._runtime("Status", _StatusRequest(verbose=True), _StatusAnswer)
            self._own_image = str(json.loads(status.info.get("config") or "{}").get("sandboxImage", ""))
        return self._own_image

    async def image_status(self, reference: str) -> m.Image | None:
        return (await self._images("ImageStatus", _ImageRequest(m.ImageSpec(reference)), _ImageAnswer)).image

    async def pull_image(
        self, reference: str, *, auth: m.AuthConfig | None = None, sandbox_config: m.SandboxConfig | None = None
    ) -> str:
        request = _PullImage(m.ImageSpec(reference), auth, sandbox_config)
        try:
            return (await self._images("PullImage", request, _Text, seconds=None)).text
        except cri.Unavailable:
            raise
        except cri.CriError as refused:
            raise _pull_error(str(refused)) from refused

    async def remove_image(self, reference: str) -> None:
        await self._images("RemoveImage", _ImageRequest(m.ImageSpec(reference)), _Empty)

    async def image_filesystems(self) -> tuple[m.FilesystemUsage, ...]:
        return (await self._images("ImageFsInfo", _Empty(), _ImageFilesystemsAnswer)).image_filesystems

    async def events(self) -> AsyncIterator[cri.Event]:
        await self._socket.connected()
        envelopes = self._socket.stream(f"{_EVENTS}/Subscribe", _Subscribe(_FILTERS), _Envelope)
        try:
            async with aclosing(envelopes):
                envelope = await self._first_of(envelopes)
                yield cri.Event(cri.EventType.RESYNC)
                while True:
                    task = wire.decode(_TaskExit, envelope.event.value)
                    if envelope.topic != _FENCE and task.id == task.container_id:  # not the end of an exec
                        yield cri.Event(cri.EventType.EXITED, task.container_id)
                    envelope = await anext(envelopes)
        except CallError as lost:
            raise _error(lost) from lost
        except StopAsyncIteration:
            raise cri.Unavailable("the runtime's event stream ended") from None

    async def _first_of(self, envelopes: AsyncGenerator[_Envelope]) -> _Envelope:
        """containerd answers a subscription with nothing until an event comes, so pylet publishes one of its own: from
        then on no exit can be missed."""
        first = asyncio.ensure_future(anext(envelopes))
        try:
            while not first.done():
                path, metadata = f"{_EVENTS}/Publish", {"containerd-namespace": _NAMESPACE}
                await self._socket.call(path, _Publish(_FENCE), _Empty, seconds=_CALL_SECONDS, metadata=metadata)
                await asyncio.wait((first,), timeout=_FENCE_SECONDS)
            return await first
        finally:
            first.cancel()

    async def _runtime(self, call: str, request: Any, answer: type[T], *, seconds: float | None = _CALL_SECONDS) -> T:
        return await self._call(f"/runtime.v1.RuntimeService/{call}", request, answer, seconds)

    async def _images(self, call: str, request: Any, answer: type[T], *, seconds: float | None = _CALL_SECONDS) -> T:
        return await self._call(f"/runtime.v1.ImageService/{call}", request, answer, seconds)

    async def _gone_is_fine(self, call: str, request: Any, *, seconds: float = _CALL_SECONDS) -> None:
        try:
            await self._runtime(call, request, _Empty, seconds=seconds)
        except cri.NotFound:
            return

    async def _call(self, path: str, request: Any, answer: type[T], seconds: float | None) -> T:
        try:
            return await self._socket.call(path, request, answer, seconds=seconds)
        except CallError as refused:
            raise _error(refused) from refused


_ERRORS: dict[str, type[cri.CriError]] = {
    "NotFound": cri.NotFound,
    "AlreadyExists": cri.AlreadyExists,
    "Unavailable": cri.Unavailable,
    "DeadlineExceeded": cri.DeadlineExceeded,
}


def _error(refused: CallError) -> cri.CriError:
    return _ERRORS.get(refused.code, cri.CriError)(str(refused))


def _pull_error(text: str) -> cri.PullError:
    for kind in (cri.RegistryUnavailable, cri.SignatureInvalid):
        if kind.reason in text:
            return kind(text)
    return cri.PullError(text)


def _labels(pod_uid: str) -> Mapping[str, str]:
    return {_POD_UID_LABEL: pod_uid} if pod_uid else {}
