"""A `Runtime` that runs nothing: sandboxes and containers as records, for tests, simulations and hollow nodes.

It passes the suite of the real driver (`tests/cri`). A container's command decides what it does, by the few commands
`programs` understands; any other command runs until it is stopped. Time comes from the event loop, so under a virtual
clock nothing waits.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field

from pylet.cri import interface as cri
from pylet.cri import messages as m
from pylet.cri.features import CgroupDriver, RuntimeCondition, RuntimeFeatures, RuntimeHandler, Version
from pylet.cri.usage import (
    ContainerAttributes,
    ContainerStats,
    CpuUsage,
    FilesystemIdentifier,
    FilesystemUsage,
    MemoryUsage,
)

_POD_UID_LABEL = "io.kubernetes.pod.uid"
_KILLED = 137
_EVENTS_BOUND = 10_000


@dataclass(frozen=True, slots=True)
class Program:
    """What a command does; `on_stop` is its exit code on the stop signal, None if it ignores that."""

    seconds: float = math.inf
    exit_code: int = 0
    output: bytes = b""
    on_stop: int | None = 0


def programs(command: Sequence[str]) -> Program:
    """`sleep N`, `true`, `false`, `echo …`, and `sh -c` of one of them, of `exit N`, or of a list of them with `;`."""
    match list(command):
        case ["sleep", seconds]:
            return Program(seconds=float(seconds), on_stop=None)  # as the first process of a container
        case ["true"]:
            return Program(seconds=0)
        case ["false"]:
            return Program(seconds=0, exit_code=1)
        case ["echo", *words]:
            return Program(seconds=0, output=" ".join(words).encode() + b"\n")
        case ["exit", code]:
            return Program(seconds=0, exit_code=int(code))
        case ["sh", "-c", script]:
            return _sequence([programs(part.split()) for part in re.split(r"\s*;\s*", script)])
        case _:
            return Program()


def _sequence(steps: list[Program]) -> Program:
    return Program(
        seconds=sum(step.seconds for step in steps),
        exit_code=steps[-1].exit_code,
        output=b"".join(step.output for step in steps),
        on_stop=steps[-1].on_stop,
    )


@dataclass(slots=True)
class _SandboxRecord:
    config: m.SandboxConfig
    status: m.SandboxStatus


@dataclass(slots=True)
class _ContainerRecord:
    sandbox_id: str
    config: m.ContainerConfig
    status: m.ContainerStatus
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    timer: asyncio.TimerHandle | None = None


class MemoryRuntime:
    """`registry` holds the images that can be pulled, None for any; `clock` answers nanoseconds since the epoch.

    `faults` maps a method's name to errors that its next calls raise, one each.
    """

    def __init__(
        self,
        *,
        registry: frozenset[str] | None = None,
        program: Callable[[Sequence[str]], Program] = programs,
        clock: Callable[[], int] = time.time_ns,
        address: str = "10.88.{}.{}",
    ) -> None:
        self.faults: dict[str, list[cri.CriError]] = {}
        self._registry = registry
        self._program = program
        self._clock = clock
        self._address = address
        self._serial = itertools.count(1)
        self._sandboxes: dict[str, _SandboxRecord] = {}
        self._containers: dict[str, _ContainerRecord] = {}
        self._images: dict[str, m.Image] = {}
        self._listeners: set[asyncio.Queue[cri.Event]] = set()

    async def version(self) -> Version:
        return Version("0.1.0", "memory", "1.0", "v1")

    async def conditions(self) -> tuple[RuntimeCondition, ...]:
        return tuple(RuntimeCondition(type_, True) for type_ in ("RuntimeReady", "NetworkReady"))

    async def abilities(self) -> tuple[tuple[RuntimeHandler, ...], RuntimeFeatures]:
        return (), RuntimeFeatures()

    async def cgroup_driver(self) -> CgroupDriver | None:
        return None

    async def run_sandbox(self, config: m.SandboxConfig, *, runtime_handler: str = "") -> str:
        self._fail("run_sandbox")
        if any(record.status.metadata == config.metadata for record in self._sandboxes.values()):
            raise cri.AlreadyExists(f"sandbox {config.metadata.name} attempt {config.metadata.attempt} exists")
        serial = next(self._serial)
        sandbox_id = f"sandbox{serial:057d}"
        on_host = config.linux.security_context.namespace_options.network == m.NamespaceMode.NODE
        ip = "" if on_host else self._address.format(serial >> 8 & 255, serial & 255)
        status = m.SandboxStatus(
            id=sandbox_id,
            metadata=config.metadata,
            created_at=self._clock(),
            network=m.NetworkStatus(ip),
            labels=config.labels,
            annotations=config.annotations,
        )
        self._sandboxes[sandbox_id] = _SandboxRecord(config, status)
        return sandbox_id

    async def stop_sandbox(self, sandbox_id: str) -> None:
        self._fail("stop_sandbox")
        record = self._sandboxes.get(sandbox_id)
        if record is None or record.status.state == m.SandboxState.NOT_READY:
            return
        for container in list(self._containers.values()):
            if container.sandbox_id == sandbox_id:
                self._exit(container, _KILLED)
        record.status = dataclasses.replace(record.status, state=m.SandboxState.NOT_READY, network=m.NetworkStatus())
        self._tell(sandbox_id)

    async def remove_sandbox(self, sandbox_id: str) -> None:
        await self.stop_sandbox(sandbox_id)
        self._sandboxes.pop(sandbox_id, None)
        self._containers = {k: c for k, c in self._containers.items() if c.sandbox_id != sandbox_id}

    async def sandbox_status(self, sandbox_id: str) -> m.SandboxStatus:
        return self._sandbox(sandbox_id).status

    async def list_sandboxes(self, *, pod_uid: str = "") -> tuple[m.Sandbox, ...]:
        self._fail("list_sandboxes")
        found = (record.status for record in self._sandboxes.values())
        return tuple(
            m.Sandbox(s.id, s.metadata, s.state, s.created_at, s.labels, s.annotations)
            for s in found
            if not pod_uid or s.labels.get(_POD_UID_LABEL) == pod_uid
        )

    async def create_container(
        self, sandbox_id: str, config: m.ContainerConfig, sandbox_config: m.SandboxConfig
    ) -> str:
        self._fail("create_container")
        if self._sandbox(sandbox_id).status.state != m.SandboxState.READY:
            raise cri.CriError(f"sandbox {sandbox_id} is not running")
        image = await self.image_status(config.image.image)
        if image is None:
            raise cri.NotFound(f"image {config.image.image} is not present")
        if any(c.sandbox_id == sandbox_id and c.config.metadata == config.metadata for c in self._containers.values()):
            raise cri.AlreadyExists(f"container {config.metadata.name} attempt {config.metadata.attempt} exists")
        container_id = f"container{next(self._serial):055d}"
        status = m.ContainerStatus(
            id=container_id,
            metadata=config.metadata,
            created_at=self._clock(),
            image=m.ImageSpec(image.repo_tags[0]),
            image_ref=image.id,
            labels=config.labels,
            annotations=config.annotations,
            mounts=config.mounts,
            log_path=f"{sandbox_config.log_directory}/{config.log_path}",
            resources=m.ContainerResources(config.linux.resources),
        )
        self._containers[container_id] = _ContainerRecord(sandbox_id, config, status)
        return container_id

    async def start_container(self, container_id: str) -> None:
        self._fail("start_container")
        record = self._container(container_id)
        if record.status.state != m.ContainerState.CREATED:
            raise cri.CriError(f"container {container_id} is not in created state")
        record.status = dataclasses.replace(record.status, state=m.ContainerState.RUNNING, started_at=self._clock())
        program = self._program_of(record)
        if program.seconds < math.inf:
            loop = asyncio.get_running_loop()
            record.timer = loop.call_later(program.seconds, self._exit, record, program.exit_code)

    async def stop_container(self, container_id: str, *, grace_seconds: int) -> None:
        self._fail("stop_container")
        record = self._containers.get(container_id)
        if record is None or record.status.state != m.ContainerState.RUNNING:
            return
        on_stop = self._program_of(record).on_stop
        if on_stop is None and grace_seconds > 0:
            try:
                await asyncio.wait_for(record.stopped.wait(), grace_seconds)
            except TimeoutError:
                self._exit(record, _KILLED)
        else:
            self._exit(record, _KILLED if on_stop is None else on_stop)

    async def remove_container(self, container_id: str) -> None:
        self._fail("remove_container")
        record = self._containers.pop(container_id, None)
        if record is not None:
            self._exit(record, _KILLED)

    async def container_status(self, container_id: str) -> m.ContainerStatus:
        return self._container(container_id).status

    async def list_containers(self, *, sandbox_id: str = "", pod_uid: str = "") -> tuple[m.Container, ...]:
        self._fail("list_containers")
        return tuple(
            m.Container(
                id=s.id,
                pod_sandbox_id=record.sandbox_id,
                metadata=s.metadata,
                image=s.image,
                image_ref=s.image_ref,
                state=s.state,
                created_at=s.created_at,
                labels=s.labels,
                annotations=s.annotations,
            )
            for record in self._containers.values()
            if (s := record.status)
            and (not sandbox_id or record.sandbox_id == sandbox_id)
            and (not pod_uid or s.labels.get(_POD_UID_LABEL) == pod_uid)
        )

    async def update_resources(self, container_id: str, resources: m.LinuxResources) -> None:
        record = self._container(container_id)
        record.status = dataclasses.replace(record.status, resources=m.ContainerResources(resources))

    async def reopen_log(self, container_id: str) -> None:
        self._running(container_id)

    async def checkpoint_container(self, container_id: str, location: str, *, seconds: float) -> None:
        raise cri.Unimplemented("the memory runtime keeps no state")

    async def container_stats(self) -> tuple[ContainerStats, ...]:
        now = self._clock()
        return tuple(
            ContainerStats(
                ContainerAttributes(s.id, s.metadata, s.labels, s.annotations),
                CpuUsage(now, 0, 0),
                MemoryUsage(now, 0),
            )
            for record in self._containers.values()
            if (s := record.status).state == m.ContainerState.RUNNING
        )

    async def exec_sync(self, container_id: str, command: Sequence[str], *, timeout_seconds: float) -> m.ExecResult:
        self._fail("exec_sync")
        self._running(container_id)
        program = self._program(command)
        if program.seconds > timeout_seconds:
            await asyncio.sleep(timeout_seconds)
            raise cri.DeadlineExceeded(f"command {list(command)} timed out after {timeout_seconds}s")
        await asyncio.sleep(program.seconds)
        return m.ExecResult(program.output, b"", program.exit_code)

    async def exec(
        self, container_id: str, command: Sequence[str], *, tty: bool, stdin: bool, stdout: bool, stderr: bool
    ) -> str:
        raise cri.CriError("the memory runtime streams nothing")

    async def attach(self, container_id: str, *, tty: bool, stdin: bool, stdout: bool, stderr: bool) -> str:
        raise cri.CriError("the memory runtime streams nothing")

    async def port_forward(self, sandbox_id: str, ports: Sequence[int] = ()) -> str:
        raise cri.CriError("the memory runtime streams nothing")

    async def list_images(self) -> tuple[m.Image, ...]:
        return tuple(self._images.values())

    async def image_status(self, reference: str) -> m.Image | None:
        self._fail("image_status")
        named = (image for image in self._images.values() if reference in (image.id, *image.repo_tags))
        return next(named, None)

    async def pull_image(
        self, reference: str, *, auth: m.AuthConfig | None = None, sandbox_config: m.SandboxConfig | None = None
    ) -> str:
        self._fail("pull_image")
        if self._registry is not None and reference not in self._registry:
            raise cri.PullError(f"rpc error: code = NotFound desc = failed to pull image {reference}: not found")
        self._images[reference] = m.Image(id=f"sha256:{reference.encode().hex():0>64}", repo_tags=(reference,), size=1)
        return self._images[reference].id

    async def remove_image(self, reference: str) -> None:
        image = await self.image_status(reference)
        if image is not None:
            del self._images[image.repo_tags[0]]

    async def image_filesystems(self) -> tuple[FilesystemUsage, ...]:
        return (FilesystemUsage(self._clock(), FilesystemIdentifier("/"), 0, 0),)

    async def events(self) -> AsyncIterator[cri.Event]:
        queue: asyncio.Queue[cri.Event] = asyncio.Queue(_EVENTS_BOUND)
        self._listeners.add(queue)
        try:
            yield cri.Event(cri.EventType.RESYNC)
            while True:
                yield await queue.get()
        finally:
            self._listeners.discard(queue)

    def crash(self, container_id: str, exit_code: int = 1) -> None:
        """End a running container from outside, as its own failure would."""
        self._exit(self._container(container_id), exit_code)

    def _exit(self, record: _ContainerRecord, exit_code: int) -> None:
        if record.timer is not None:
            record.timer.cancel()
        if record.status.state != m.ContainerState.RUNNING:
            return
        record.status = dataclasses.replace(
            record.status,
            state=m.ContainerState.EXITED,
            finished_at=self._clock(),
            exit_code=exit_code,
            reason="Completed" if exit_code == 0 else "Error",
        )
        record.stopped.set()
        self._tell(record.status.id)

    def _tell(self, id_: str) -> None:
        for queue in self._listeners:
            queue.put_nowait(cri.Event(cri.EventType.EXITED, id_))

    def _program_of(self, record: _ContainerRecord) -> Program:
        return self._program((*record.config.command, *record.config.args))

    def _sandbox(self, sandbox_id: str) -> _SandboxRecord:
        if sandbox_id not in self._sandboxes:
            raise cri.NotFound(f"sandbox {sandbox_id} not found")
        return self._sandboxes[sandbox_id]

    def _container(self, container_id: str) -> _ContainerRecord:
        if container_id not in self._containers:
            raise cri.NotFound(f"container {container_id} not found")
        return self._containers[container_id]

    def _running(self, container_id: str) -> _ContainerRecord:
        record = self._container(container_id)
        if record.status.state != m.ContainerState.RUNNING:
            raise cri.CriError(f"container {container_id} is not running")
        return record

    def _fail(self, call: str) -> None:
        if self.faults.get(call):
            raise self.faults[call].pop(0)
