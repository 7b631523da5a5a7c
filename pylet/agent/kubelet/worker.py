"""One pod's worker: observe, compute, act, report; woken by what changes, never by a tick.

Everything it does to a pod happens in its one task, so nothing about the pod needs a lock. It can be cancelled at any
await: the next worker observes what is there and goes on.
"""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from pylet.agent.kubelet import cgroups, handlers, labels
from pylet.agent.kubelet.actions import (
    Action,
    Actions,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopPod,
    compute,
)
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.config import (
    Surroundings,
    cgroup_parent,
    container_config,
    host_aliases,
    hosts_file,
    log_directory,
    sandbox_config,
)
from pylet.agent.kubelet.env import EnvError, environment, expand, references, service_variables
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.images import ImageError, Images, credentials, with_tag
from pylet.agent.kubelet.observed import UNPROBED, Container, Observed, Probed, Sandbox
from pylet.agent.kubelet.probes import Prober, has_probes
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import all_containers, is_host_network
from pylet.agent.kubelet.status import Circumstances, differs, pod_status
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError, Conflict, NotFound
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, dig, is_terminating, key_of, uid_of
from pylet.client.events import Recorder
from pylet.client.interface import Client, PatchType
from pylet.client.view import View
from pylet.cri import interface as cri
from pylet.cri.messages import ContainerState, ContainerStatus

log = logging.getLogger(__name__)

_RETRY = timedelta(seconds=10)
_SOON = timedelta(seconds=1)
_SETTLING = timedelta(milliseconds=10)
_DEFAULT_GRACE_SECONDS = 30
_MESSAGE_BYTES = 4096
_KINDS = {"ConfigMap": CONFIG_MAP, "Secret": SECRET}


class Volumes(Protocol):
    async def mount(self, pod: Object) -> Mapping[str, Path]: ...

    async def unmount(self, pod_uid: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Node:
    """What all workers of a node share. `starts` bounds how many containers are started at a time."""

    client: Client
    runtime: cri.Runtime
    volumes: Volumes
    images: Images
    view: View
    clock: Clock
    recorder: Recorder
    settings: Settings
    starts: asyncio.Semaphore


class CannotRun(Exception):
    """A container cannot be started now: its waiting reason and message."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(slots=True)
class _Watched:
    """A running container with probes: who asks them, and the task that does."""

    prober: Prober
    task: asyncio.Task[None]


@dataclass(slots=True)
class Worker:
    """`run` ends when the pod is gone from the node. `ids` are its sandboxes and containers, for events to find it."""

    pod: Object
    node: Node
    ids: set[str] = field(default_factory=set)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)
    _backoff: Backoff = field(default_factory=Backoff)
    _waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    _failure: tuple[str, str] | None = None
    _ended: dict[str, Container] = field(default_factory=dict)
    _watched: dict[str, _Watched] = field(default_factory=dict)
    _exits: dict[str, int] = field(default_factory=dict)
    running: frozenset[str] = frozenset()
    """Ids of the containers seen running last."""
    _reported: Object | None = None
    _again_at: datetime | None = None
    _deleted: bool = False

    def update(self, pod: Object) -> None:
        """The API has a newer version of the pod."""
        self.pod = pod
        self._wake.set()

    def vanish(self) -> None:
        """The API has the pod no more: stop it and leave nothing behind."""
        self._deleted = True
        self._wake.set()

    def poke(self, exited: str = "") -> None:
        """Something may have happened to its containers; `exited` is known to have ended, whatever its status says."""
        if exited:
            self._exits[exited] = 0
        self._wake.set()

    async def run(self) -> None:
        if self.pod.get("status", {}).get("reason") and self.pod["status"].get("phase") == "Failed":
            self._failure = (self.pod["status"]["reason"], self.pod["status"].get("message", ""))
        async with asyncio.TaskGroup() as probing:
            try:
                while not await self._sync(probing):
                    await self._until_something()
            finally:
                for watched in self._watched.values():
                    watched.task.cancel()

    async def _until_something(self) -> None:
        wait = None
        if self._again_at is not None:
            wait = max(0.0, (self._again_at - self.node.clock.now()).total_seconds())
        try:
            await asyncio.wait_for(self._wake.wait(), wait)
        except TimeoutError:
            return

    async def _sync(self, probing: asyncio.TaskGroup) -> bool:
        """One turn, repeated while it makes progress; whether the pod is done with on this node."""
        while True:
            self._wake.clear()
            self._again_at = None
            try:
                observed = await self._observe()
                self._watch_probes(observed, probing)
                plan = self._compute(observed)
                self._waiting |= plan.waiting or {}
                await self._report(observed)
                if plan.actions:
                    if await self._act(plan, observed):
                        continue
                    await self._report(observed)  # why nothing could be done
                elif (is_terminating(self.pod) or self._deleted) and not observed.running:
                    await self._remove(observed)
                    return True
                self._look_again(plan.again_at)
            except cri.CriError as failed:
                log.warning("pod %s: %s", key_of(self.pod), failed)
                self._look_again(self.node.clock.now() + _SOON)
            except ApiError as failed:
                log.warning("pod %s: %s", key_of(self.pod), failed.message)
                self._look_again(self.node.clock.now() + _RETRY)
            return False

    def _compute(self, observed: Observed) -> Actions:
        if self._deleted or self._failure is not None:
            gone = observed.running or observed.sandbox is not None
            return Actions((StopPod(),)) if gone else Actions()
        return compute(self.pod, observed, self._backoff, self.node.clock.now())

    def _look_again(self, moment: datetime | None) -> None:
        if moment is not None:
            self._again_at = moment if self._again_at is None else min(self._again_at, moment)

    # ---- observing

    async def _observe(self) -> Observed:
        runtime, uid = self.node.runtime, uid_of(self.pod)
        listed = sorted(await runtime.list_sandboxes(pod_uid=uid), key=lambda s: s.created_at, reverse=True)
        sandboxes = []
        for index, sandbox in enumerate(listed):
            if index == 0:
                sandboxes.append(Sandbox.of(await runtime.sandbox_status(sandbox.id)))
            else:
                sandboxes.append(Sandbox(sandbox.id, False, sandbox.metadata.attempt, ()))
        containers: dict[str, list[Container]] = {}
        alive = sorted(await runtime.list_containers(pod_uid=uid), key=lambda c: c.created_at, reverse=True)
        for found in alive:
            container = self._ended.get(found.id)
            if container is None:
                status = await runtime.container_status(found.id)
                message = _termination_message(status, self._message_file(status)) if _ended(status) else ""
                container = Container.of(status, message)
                if container.is_finished:
                    self._ended[found.id] = container
            containers.setdefault(container.name, []).append(container)
        ids = {sandbox.id for sandbox in listed} | {found.id for found in alive}
        self._ended = {id_: ended for id_, ended in self._ended.items() if id_ in ids}
        self.ids |= ids
        probed = {id_: watched.prober.result for id_, watched in self._watched.items()}
        observed = Observed(tuple(sandboxes), {name: tuple(group) for name, group in containers.items()}, probed)
        self.running = frozenset(container.id for container in observed.running)
        self._await_exits({*self.running, *([observed.sandbox.id] if observed.sandbox is not None else [])})
        return observed

    def _await_exits(self, alive: set[str]) -> None:
        """containerd tells of an exit some milliseconds before its own status knows: look again until it does."""
        self._exits = {id_: tries + 1 for id_, tries in self._exits.items() if id_ in alive}
        if self._exits:
            tries = min(self._exits.values())
            self._look_again(self.node.clock.now() + min(_SETTLING * 2**tries, _SOON))

    def _watch_probes(self, observed: Observed, probing: asyncio.TaskGroup) -> None:
        """Every running container with probes is asked them; those of ended containers stop."""
        specs = {container["name"]: container for container in all_containers(self.pod)}
        running = {c.id: c for c in observed.running if c.name in specs and has_probes(specs[c.name])}
        for id_ in [id_ for id_ in self._watched if id_ not in running]:
            self._watched.pop(id_).task.cancel()
        ip = self._ip(observed)
        for id_, container in running.items():
            if id_ in self._watched or is_terminating(self.pod):
                continue
            spec = specs[container.name]
            prober = Prober(
                spec,
                _target(id_, ip, spec),
                self.node.runtime,
                self.node.clock,
                self._wake.set,
                lambda message, spec=spec: self._tell(spec, "Warning", "Unhealthy", message),  # type: ignore[misc]
                self._known(container),
            )
            self._watched[id_] = _Watched(prober, probing.create_task(prober.run()))

    def _known(self, container: Container) -> Probed:
        """After a restart of pylet, what was reported of this instance holds until a probe says otherwise."""
        statuses = dig(self.pod, "status", "containerStatuses", default=[])
        reported = next((s for s in statuses if s.get("containerID") == f"containerd://{container.id}"), None)
        return Probed(started=True) if reported is not None and reported.get("started") else UNPROBED

    def _ip(self, observed: Observed) -> str:
        if is_host_network(self.pod):
            return self.node.settings.host_ips[0]
        return observed.sandboxes[0].ips[0] if observed.sandboxes and observed.sandboxes[0].ips else ""

    # ---- acting

    async def _act(self, plan: Actions, observed: Observed) -> bool:
        """Whether to observe again at once: something was done."""
        progress = False
        for action in plan.actions:
            progress = await self._do(action, observed) or progress
        return progress

    async def _do(self, action: Action, observed: Observed) -> bool:
        match action:
            case StartSandbox(attempt):
                return await self._start_sandbox(attempt, observed)
            case StartContainer(container, restarts):
                return await self._start(container, restarts, observed)
            case StopContainer(id_, name, why, grace):
                await self._stop(id_, name, why, observed, grace)
                return True
            case StopPod(reason, message):
                if reason and self._failure is None:
                    self._failure = reason, message
                    self.node.recorder.tell(self.pod, "Normal", reason, message)
                await self._stop_pod(observed)
                return True

    async def _start_sandbox(self, attempt: int, observed: Observed) -> bool:
        node, pod = self.node, self.pod
        try:
            await node.volumes.mount(pod)  # before anything runs: a missing ConfigMap keeps the pod from starting
        except VolumeError as failed:
            node.recorder.tell(pod, "Warning", "FailedMount", str(failed))
            self._look_again(node.clock.now() + _RETRY if not observed.sandboxes else node.clock.now() + _SOON)
            return False
        for old in observed.sandboxes:
            await node.runtime.stop_sandbox(old.id)
        try:
            async with node.starts:
                self.ids.add(await node.runtime.run_sandbox(sandbox_config(pod, node.settings, attempt)))
        except cri.CriError as failed:
            words = f"Failed to create pod sandbox: {failed}"
            node.recorder.tell(pod, "Warning", "FailedCreatePodSandBox", words)
            self._look_again(node.clock.now() + _SOON)
            return False
        return True

    async def _start(self, container: Object, restarts: int, observed: Observed) -> bool:
        name, now = container["name"], self.node.clock.now()
        try:
            image = await self._image(container)
            async with self.node.starts:
                id_ = await self._create(container, restarts, image, observed)
                await self._run_container(container, id_)
        except ImageError as failed:
            self._waiting[name] = failed.reason, str(failed)
            self._look_again(now + _RETRY)
            return False
        except CannotRun as failed:
            self._waiting[name] = failed.reason, str(failed)
            self._tell(container, "Warning", "Failed", f"Error: {failed}")
            self._look_again(now + _RETRY)
            return False
        self._waiting.pop(name, None)
        if restarts:
            self._backoff.failed(name, now)
        await self._forget(observed.containers.get(name, ())[1:])
        await self._post_start(container, id_, observed)
        return True

    async def _forget(self, instances: Sequence[Container]) -> None:
        """Of what ended before, only the last instance is kept: its status, its log and its last words."""
        for old in instances:
            await self.node.runtime.remove_container(old.id)
            for log_file in (log_directory(self.pod, self.node.settings) / old.name).glob(f"{old.restarts}.log*"):
                log_file.unlink(missing_ok=True)
            self._words(old.name, old.restarts).unlink(missing_ok=True)

    async def _image(self, container: Object) -> str:
        pod = self.pod
        namespace = pod["metadata"]["namespace"]
        names = [secret["name"] for secret in pod["spec"].get("imagePullSecrets") or ()]
        secrets = [await self._read("Secret", Key(namespace, name)) for name in names]
        auths = credentials([secret for secret in secrets if secret is not None], container["image"])

        def tell(type_: str, reason: str, message: str) -> None:
            self._tell(container, type_, reason, message)

        policy = container.get("imagePullPolicy", "IfNotPresent")
        return await self.node.images.ensure(container["image"], policy, auths, tell)

    async def _create(self, container: Object, restarts: int, image: str, observed: Observed) -> str:
        node, pod = self.node, self.pod
        sandbox = observed.sandbox
        assert sandbox is not None
        try:
            volumes = await node.volumes.mount(pod)
            values = await self._environment(container, observed)
        except (EnvError, VolumeError) as failed:
            raise CannotRun("CreateContainerConfigError", str(failed)) from failed
        await self._refuse_root(container)
        files = self._files(container, restarts, sandbox)
        around = Surroundings(values, volumes, files, image, restarts)
        try:
            _check_sub_paths(container, volumes, values)
            config = container_config(pod, container, around, node.settings)
            id_ = await node.runtime.create_container(
                sandbox.id, config, sandbox_config(pod, node.settings, sandbox.attempt)
            )
        except (cri.CriError, EnvError) as failed:
            raise CannotRun("CreateContainerError", str(failed)) from failed
        self.ids.add(id_)
        self._tell(container, "Normal", "Created", f"Container created: {container['name']}")
        return id_

    async def _refuse_root(self, container: Object) -> None:
        """runAsNonRoot: neither the spec nor the image may name root. Raises: CannotRun."""
        whole, own = dig(self.pod, "spec", "securityContext", default={}), container.get("securityContext") or {}
        if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
            return
        meta = self.pod["metadata"]
        where = f'(pod: "{meta["name"]}_{meta["namespace"]}({meta["uid"]})", container: {container["name"]})'
        user = own.get("runAsUser", whole.get("runAsUser"))
        why = "container's runAsUser breaks non-root policy" if user == 0 else ""
        if user is None:
            image = await self.node.runtime.image_status(with_tag(container["image"]))
            if image is not None and image.username:
                why = f"container has runAsNonRoot and image has non-numeric user ({image.username}), "
                why += "cannot verify user is non-root"
            elif image is None or not image.uid:
                why = "container has runAsNonRoot and image will run as root"
        if why:
            raise CannotRun("CreateContainerConfigError", f"{why} {where}")

    async def _run_container(self, container: Object, id_: str) -> None:
        try:
            await self.node.runtime.start_container(id_)
        except cri.CriError as failed:
            raise CannotRun("RunContainerError", str(failed)) from failed
        self._tell(container, "Normal", "Started", f"Container started: {container['name']}")

    async def _post_start(self, container: Object, id_: str, observed: Observed) -> None:
        hook = dig(container, "lifecycle", "postStart")
        if hook is None:
            return
        target = _target(id_, self._ip(observed), container)
        outcome = await handlers.run(hook, target, self.node.runtime, seconds=_hook_seconds(hook))
        if not outcome.ok:
            self._tell(container, "Warning", "FailedPostStartHook", f"PostStartHook failed: {outcome.message}")
            await self._stop(id_, container["name"], f"FailedPostStartHook: {outcome.message}", observed)

    async def _environment(self, container: Object, observed: Observed) -> dict[str, str]:
        node, namespace = self.node, self.pod["metadata"]["namespace"]
        found = {
            (kind, name): await self._read(kind, Key(namespace, name)) for kind, name in sorted(references(container))
        }
        services = service_variables(
            node.view.select(SERVICE), namespace, links=self.pod["spec"].get("enableServiceLinks", True)
        )
        own = node.view.get(NODE, Key("", node.settings.node_name)) or {}
        pod = _with_addresses(self.pod, observed, node.settings)
        return environment(pod, container, own, services, lambda kind, name: found.get((kind, name)))

    async def _read(self, kind: str, key: Key) -> Object | None:
        try:
            return await self.node.client.get(_KINDS[kind], key)
        except NotFound:
            return None

    def _files(self, container: Object, restarts: int, sandbox: Sandbox) -> dict[Path, str]:
        """The files of the node that every container shows: its hosts file and where its last words go."""
        directory = self.node.settings.pod_dir(uid_of(self.pod))
        words = self._words(container["name"], restarts)
        words.parent.mkdir(parents=True, exist_ok=True)
        words.touch(mode=0o666)
        words.chmod(0o666)
        files = {words: container.get("terminationMessagePath", "/dev/termination-log")}
        if any(mount["mountPath"] == "/etc/hosts" for mount in container.get("volumeMounts") or ()):
            return files
        hosts = directory / "etc-hosts"
        if is_host_network(self.pod):
            text = Path("/etc/hosts").read_text() + "\n".join(host_aliases(self.pod)) + "\n"
        else:
            text = hosts_file(self.pod, sandbox.ips, self.node.settings.cluster_domain)
        hosts.write_text(text)
        return {**files, hosts: "/etc/hosts"}

    # ---- stopping

    async def _stop(self, id_: str, name: str, why: str, observed: Observed, grace_seconds: int | None = None) -> None:
        container = next((c for c in all_containers(self.pod) if c["name"] == name), {"name": name})
        if watched := self._watched.pop(id_, None):
            watched.task.cancel()
        self._tell(container, "Normal", "Killing", why)
        grace = self._grace_seconds() if grace_seconds is None else grace_seconds
        begin = self.node.clock.monotonic()
        hook = dig(container, "lifecycle", "preStop")
        if hook is not None and grace > 0 and not self._deleted:
            target = _target(id_, self._ip(observed), container)
            outcome = await handlers.run(hook, target, self.node.runtime, seconds=float(grace))
            if not outcome.ok:
                self._tell(container, "Warning", "FailedPreStopHook", f"PreStopHook failed: {outcome.message}")
            grace = max(2, grace - int(self.node.clock.monotonic() - begin))  # upstream leaves at least two seconds
        await self.node.runtime.stop_container(id_, grace_seconds=grace)

    async def _stop_pod(self, observed: Observed) -> None:
        """App containers together, then sidecars in reverse order, then the sandbox."""
        sidecars = [c["name"] for c in self.pod["spec"].get("initContainers") or () if c.get("restartPolicy")]
        running = observed.running
        async with asyncio.TaskGroup() as group:
            for container in running:
                if container.name not in sidecars:
                    words = f"Stopping container {container.name}"
                    group.create_task(self._stop(container.id, container.name, words, observed))
        for name in reversed(sidecars):
            for container in running:
                if container.name == name:
                    await self._stop(container.id, name, f"Stopping container {name}", observed)
        for sandbox in observed.sandboxes:
            await self.node.runtime.stop_sandbox(sandbox.id)

    def _grace_seconds(self) -> int:
        if is_terminating(self.pod):
            asked = self.pod["metadata"].get("deletionGracePeriodSeconds")
            if asked is not None:
                return int(asked)
        return int(self.pod["spec"].get("terminationGracePeriodSeconds", _DEFAULT_GRACE_SECONDS))

    async def _remove(self, observed: Observed) -> None:
        """Leave nothing of the pod on the node, then let the API forget it."""
        node, uid = self.node, uid_of(self.pod)
        for group in observed.containers.values():
            for container in group:
                await node.runtime.remove_container(container.id)
        for sandbox in observed.sandboxes:
            await node.runtime.stop_sandbox(sandbox.id)
            await node.runtime.remove_sandbox(sandbox.id)
        await node.volumes.unmount(uid)
        cgroups.remove(cgroup_parent(self.pod, node.settings))
        await asyncio.to_thread(shutil.rmtree, log_directory(self.pod, node.settings), ignore_errors=True)
        if not self._deleted:
            try:
                await node.client.delete(POD, key_of(self.pod), uid=uid, grace_seconds=0)
            except (NotFound, Conflict):
                return

    # ---- reporting

    async def _report(self, observed: Observed) -> None:
        if self._deleted:
            return
        node = self.node
        facts = Circumstances(node.settings.host_ips, self._waiting, self._failure)
        status = pod_status(self.pod, observed, facts, node.clock.now())
        base = self._reported if self._reported is not None else self.pod.get("status") or {}
        if not differs({**base, "conditions": _own_of(base)}, {**status, "conditions": _own_of(status)}):
            return
        patch = {"metadata": {"uid": uid_of(self.pod)}, "status": {**_emptied(base, status), **status}}
        try:
            await node.client.patch(POD, key_of(self.pod), patch, type_=PatchType.MERGE, subresource="status")
        except (NotFound, Conflict):
            return  # gone or a namesake: the table will say so
        self._reported = status

    def _message_file(self, status: ContainerStatus) -> Path:
        return self._words(status.metadata.name, int(status.annotations.get(labels.RESTART_COUNT, "0")))

    def _words(self, name: str, restarts: int) -> Path:
        return self.node.settings.pod_dir(uid_of(self.pod)) / "containers" / name / str(restarts)

    def _tell(self, container: Object, type_: str, reason: str, message: str) -> None:
        field_name = "initContainers" if container in (self.pod["spec"].get("initContainers") or ()) else "containers"
        path = f"spec.{field_name}{{{container['name']}}}"
        self.node.recorder.tell(self.pod, type_, reason, message, field_path=path)


def _ended(status: ContainerStatus) -> bool:
    return status.state is ContainerState.EXITED


def _termination_message(status: ContainerStatus, file: Path) -> str:
    """What the container left in its message file, or the end of its log where its policy says so."""
    try:
        with file.open("rb") as words:
            text = words.read(_MESSAGE_BYTES).decode(errors="replace")
    except OSError:
        text = ""
    falls_back = status.annotations.get(labels.TERMINATION_POLICY) == "FallbackToLogsOnError"
    if text or not falls_back or status.exit_code == 0:
        return text
    return _log_end(Path(status.log_path))


def _log_end(path: Path, most_bytes: int = 2048, most_lines: int = 80) -> str:
    try:
        with path.open("rb") as log_file:
            size = log_file.seek(0, 2)
            log_file.seek(max(0, size - 4 * most_bytes))
            lines = log_file.read().decode(errors="replace").splitlines(keepends=True)[-most_lines:]
    except OSError:
        return ""
    return "".join(line.split(" ", 3)[-1] for line in lines)[-most_bytes:]


def _target(id_: str, ip: str, container: Object) -> Target:
    ports = container.get("ports") or ()
    return Target(id_, ip, {port["name"]: port["containerPort"] for port in ports if port.get("name")})


def _hook_seconds(hook: Object) -> float:
    return float(dig(hook, "sleep", "seconds", default=0)) + 120.0


def _check_sub_paths(container: Object, volumes: Mapping[str, Path], values: Mapping[str, str]) -> None:
    """A subPath is made where it is missing, and must not lead out of its volume. Raises: EnvError."""

    for mount in container.get("volumeMounts") or ():
        inside = expand(mount["subPathExpr"], values) if mount.get("subPathExpr") else mount.get("subPath", "")
        if not inside:
            continue
        root = volumes[mount["name"]].resolve()
        wanted = (root / inside).resolve()
        if not wanted.is_relative_to(root):
            raise EnvError(f'subPath "{inside}" of volume "{mount["name"]}" leads out of the volume')
        if not wanted.exists():
            wanted.mkdir(parents=True, mode=0o750)


def _with_addresses(pod: Object, observed: Observed, settings: Settings) -> Object:
    """The pod with the addresses it has by now: env may show them before the API knows."""
    ips: Sequence[str] = settings.host_ips if is_host_network(pod) else ()
    if not ips and observed.sandbox is not None:
        ips = observed.sandbox.ips
    status = {
        **(pod.get("status") or {}),
        "hostIP": settings.host_ips[0] if settings.host_ips else "",
        "hostIPs": [{"ip": ip} for ip in settings.host_ips],
        "podIP": ips[0] if ips else "",
        "podIPs": [{"ip": ip} for ip in ips],
    }
    return {**pod, "status": status}


def _own_of(status: Object) -> list[Object]:
    """The conditions without what others write, which is theirs to change."""
    own = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady")
    return sorted((c for c in status.get("conditions") or () if c["type"] in own), key=lambda c: str(c["type"]))


def _emptied(old: Object, new: Object) -> Object:
    """A merge patch drops what is named null: fields that were reported and are no more."""
    return {name: None for name in old if name not in new and name in ("reason", "message", "podIP", "podIPs")}
