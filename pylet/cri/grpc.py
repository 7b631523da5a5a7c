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

from pylet.cri import calls, wire
from pylet.cri import interface as cri
from pylet.cri import messages as m
from pylet.cri.features import CgroupDriver, RuntimeCondition, RuntimeConfig, RuntimeFeatures, RuntimeHandler, Version
from pylet.cri.socket import CallError, ServiceSocket
from pylet.cri.usage import ContainerStats, FilesystemUsage

T = TypeVar("T")

# Upstream's runtimeRequestTimeout: a hung runtime fails a call instead of holding a pod's worker for ever.
_CALL_SECONDS = 120.0
_POD_UID_LABEL = "io.kubernetes.pod.uid"
_IMAGES = "/runtime.v1.ImageService"
_EVENTS = "/containerd.services.events.v1.Events"
_NAMESPACE = "k8s.io"
_FENCE = "/pylet/subscribed"
_FENCE_SECONDS = 0.1
_FILTERS = (f'topic=="/tasks/exit",namespace=={_NAMESPACE}', f'topic=="{_FENCE}"')


class GrpcRuntime:
    """`socket` is the path of the runtime's socket. Connects on first use and again whenever the runtime returns."""

    def __init__(self, socket: str) -> None:
        self._own_image: str | None = None
        self._socket = ServiceSocket(socket)

    async def close(self) -> None:
        await self._socket.close()

    async def version(self) -> Version:
        return await self._runtime("Version", calls.Text("v1"), Version)

    async def conditions(self) -> tuple[RuntimeCondition, ...]:
        return (await self._runtime("Status", calls.Empty(), calls.StatusAnswer)).status.conditions

    async def abilities(self) -> tuple[tuple[RuntimeHandler, ...], RuntimeFeatures]:
        answer = await self._runtime("Status", calls.Empty(), calls.StatusAnswer)
        return answer.handlers, answer.features

    async def cgroup_driver(self) -> CgroupDriver | None:
        try:
            linux = (await self._runtime("RuntimeConfig", calls.Empty(), RuntimeConfig)).linux
        except cri.Unimplemented:
            return None
        return None if linux is None else linux.cgroup_driver

    async def run_sandbox(self, config: m.SandboxConfig, *, runtime_handler: str = "") -> str:
        # Network plugins may be slow: upstream doubles the deadline too.
        request = calls.RunSandbox(config, runtime_handler)
        return (await self._runtime("RunPodSandbox", request, calls.Text, seconds=2 * _CALL_SECONDS)).text

    async def stop_sandbox(self, sandbox_id: str) -> None:
        await self._gone_is_fine("StopPodSandbox", calls.Text(sandbox_id))

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self._gone_is_fine("RemovePodSandbox", calls.Text(sandbox_id))

    async def sandbox_status(self, sandbox_id: str) -> m.SandboxStatus:
        return (await self._runtime("PodSandboxStatus", calls.Text(sandbox_id), calls.SandboxStatusAnswer)).status

    async def list_sandboxes(self, *, pod_uid: str = "") -> tuple[m.Sandbox, ...]:
        request = calls.ListSandboxes(calls.SandboxFilter(_labels(pod_uid)))
        return (await self._runtime("ListPodSandbox", request, calls.ListSandboxesAnswer)).items

    async def create_container(
        self, sandbox_id: str, config: m.ContainerConfig, sandbox_config: m.SandboxConfig
    ) -> str:
        request = calls.CreateContainer(sandbox_id, config, sandbox_config)
        return (await self._runtime("CreateContainer", request, calls.Text)).text

    async def start_container(self, container_id: str) -> None:
        await self._runtime("StartContainer", calls.Text(container_id), calls.Empty)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        request = calls.StopContainer(container_id, grace_seconds)
        await self._gone_is_fine("StopContainer", request, seconds=_CALL_SECONDS + grace_seconds)

    async def remove_container(self, container_id: str) -> None:
        await self._gone_is_fine("RemoveContainer", calls.Text(container_id))

    async def container_status(self, container_id: str) -> m.ContainerStatus:
        return (await self._runtime("ContainerStatus", calls.Text(container_id), calls.ContainerStatusAnswer)).status

    async def list_containers(self, *, sandbox_id: str = "", pod_uid: str = "") -> tuple[m.Container, ...]:
        request = calls.ListContainers(calls.ContainerFilter(sandbox_id, _labels(pod_uid)))
        return (await self._runtime("ListContainers", request, calls.ListContainersAnswer)).containers

    async def update_resources(self, container_id: str, resources: m.LinuxResources) -> None:
        await self._runtime("UpdateContainerResources", calls.UpdateResources(container_id, resources), calls.Empty)

    async def reopen_log(self, container_id: str) -> None:
        await self._runtime("ReopenContainerLog", calls.Text(container_id), calls.Empty)

    async def checkpoint_container(self, container_id: str, location: str, *, seconds: float) -> None:
        request = calls.CheckpointContainer(container_id, location, round(seconds))
        await self._runtime("CheckpointContainer", request, calls.Empty, seconds=seconds)

    async def container_stats(self) -> tuple[ContainerStats, ...]:
        return (await self._runtime("ListContainerStats", calls.Empty(), calls.ContainerStatsAnswer)).stats

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_seconds: float) -> m.ExecResult:
        request = calls.ExecSync(container_id, tuple(command), max(1, round(timeout_seconds)))
        return await self._runtime("ExecSync", request, m.ExecResult, seconds=_CALL_SECONDS + timeout_seconds)

    async def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        request = calls.Exec(container_id, tuple(command), tty, stdin, stdout, stderr)
        return (await self._runtime("Exec", request, calls.Text)).text

    async def attach(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        return (await self._runtime("Attach", calls.Attach(container_id, stdin, tty, stdout, stderr), calls.Text)).text

    async def port_forward(self, sandbox_id: str, ports: Sequence[int] = ()) -> str:
        return (await self._runtime("PortForward", calls.PortForward(sandbox_id, tuple(ports)), calls.Text)).text

    async def list_images(self) -> tuple[m.Image, ...]:
        listed = (await self._images("ListImages", calls.Empty(), calls.ImagesAnswer)).images
        own = await self._sandbox_image()
        return tuple(replace(image, pinned=True) if own in image.repo_tags else image for image in listed)

    async def _sandbox_image(self) -> str:
        """That of all sandboxes, of which containerd 1.6 does not say that it must stay. "" where nobody knows."""
        if self._own_image is None:
            status = await self._runtime("Status", calls.StatusRequest(verbose=True), calls.StatusAnswer)
            self._own_image = str(json.loads(status.info.get("config") or "{}").get("sandboxImage", ""))
        return self._own_image

    async def image_status(self, reference: str) -> m.Image | None:
        return (await self._images("ImageStatus", calls.ImageRequest(m.ImageSpec(reference)), calls.ImageAnswer)).image

    async def pull_image(
        self, reference: str, *, auth: m.AuthConfig | None = None, sandbox_config: m.SandboxConfig | None = None
    ) -> str:
        request = calls.PullImage(m.ImageSpec(reference), auth, sandbox_config)
        try:
            return (await self._socket.call(f"{_IMAGES}/PullImage", request, calls.Text, seconds=None)).text
        except CallError as refused:
            raise (_error(refused) if refused.code == "Unavailable" else pull_error(reference, refused)) from refused

    async def remove_image(self, reference: str) -> None:
        await self._images("RemoveImage", calls.ImageRequest(m.ImageSpec(reference)), calls.Empty)

    async def image_filesystems(self) -> tuple[FilesystemUsage, ...]:
        return (await self._images("ImageFsInfo", calls.Empty(), calls.ImageFilesystemsAnswer)).image_filesystems

    async def events(self) -> AsyncIterator[cri.Event]:
        await self._socket.connected()
        envelopes = self._socket.stream(f"{_EVENTS}/Subscribe", calls.Subscribe(_FILTERS), calls.Envelope)
        try:
            async with aclosing(envelopes):
                envelope = await self._first_of(envelopes)
                yield cri.Event(cri.EventType.RESYNC)
                while True:
                    task = wire.decode(calls.TaskExit, envelope.event.value)
                    if envelope.topic != _FENCE and task.id == task.container_id:  # not the end of an exec
                        yield cri.Event(cri.EventType.EXITED, task.container_id)
                    envelope = await anext(envelopes)
        except CallError as lost:
            raise _error(lost) from lost
        except StopAsyncIteration:
            raise cri.Unavailable("the runtime's event stream ended") from None

    async def _first_of(self, envelopes: AsyncGenerator[calls.Envelope]) -> calls.Envelope:
        """containerd answers a subscription with nothing until an event comes, so pylet publishes one of its own: from
        then on no exit can be missed."""
        first = asyncio.ensure_future(anext(envelopes))
        try:
            while not first.done():
                path, event = f"{_EVENTS}/Publish", calls.Publish(_FENCE)
                metadata = {"containerd-namespace": _NAMESPACE}
                await self._socket.call(path, event, calls.Empty, seconds=_CALL_SECONDS, metadata=metadata)
                await asyncio.wait((first,), timeout=_FENCE_SECONDS)
            return await first
        finally:
            first.cancel()

    async def _runtime(self, call: str, request: Any, answer: type[T], *, seconds: float | None = _CALL_SECONDS) -> T:
        return await self._call(f"/runtime.v1.RuntimeService/{call}", request, answer, seconds)

    async def _images(self, call: str, request: Any, answer: type[T], *, seconds: float | None = _CALL_SECONDS) -> T:
        return await self._call(f"{_IMAGES}/{call}", request, answer, seconds)

    async def _gone_is_fine(self, call: str, request: Any, *, seconds: float = _CALL_SECONDS) -> None:
        try:
            await self._runtime(call, request, calls.Empty, seconds=seconds)
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
    "Unimplemented": cri.Unimplemented,
}


_PULL_ERRORS = (
    (cri.RegistryUnavailable, "registry is unavailable"),
    (cri.SignatureInvalid, "signature validation failed"),
)


def _error(refused: CallError) -> cri.CriError:
    return _ERRORS.get(refused.code, cri.CriError)(str(refused), refused.details)


def pull_error(reference: str, refused: CallError) -> cri.PullError:
    """Why an image is not here; its details are the runtime's own words.

    Source: upstream cri-client (pullImageV1) and `pkg/kubelet/images/image_manager.go` (evalCRIPullErr)."""
    text = refused.details if refused.code == "Unknown" else str(refused)
    for kind, why in _PULL_ERRORS:
        if text.startswith(kind.reason):
            words = f"image pull failed for {reference} because the {why}{text.removeprefix(kind.reason)}"
            return kind(words, text)
    return cri.PullError(text)


def _labels(pod_uid: str) -> Mapping[str, str]:
    return {_POD_UID_LABEL: pod_uid} if pod_uid else {}
