"""Start what a plan says: the sandbox of a pod, then its containers, image to postStart hook.

Nothing here decides whether; a start that cannot be is a CannotRun with the container's waiting reason and message.
Source of reasons, messages and events: upstream `pkg/kubelet/kuberuntime/kuberuntime_container.go`, startContainer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from pylet.agent.kubelet import counters, handlers, log_links
from pylet.agent.kubelet.config import Surroundings, cgroup_parent, container_config, sandbox_config
from pylet.agent.kubelet.env import EnvError, environment, files, references, service_variables
from pylet.agent.kubelet.env_file import read_all
from pylet.agent.kubelet.files import container_files, forget_instance
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.images import ImageError
from pylet.agent.kubelet.keyring import Credential
from pylet.agent.kubelet.names import NameTooLong
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.resolver import objections
from pylet.agent.kubelet.resources import pod_resources
from pylet.agent.kubelet.runtime_class import handler_of, recurses, users_of
from pylet.agent.kubelet.security import ImageUser, root_refused
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import container_type, full_name, has_own_users, is_host_network
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.agent.kubelet.volumes.mounter import NotMounted
from pylet.agent.kubelet.workplace import Node
from pylet.aio.failures import in_words
from pylet.api.errors import NotFound
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.service import KIND as SERVICE
from pylet.api.object import Key, Object, dig
from pylet.cri import interface as cri
from pylet.cri.messages import Image

_KINDS = {"ConfigMap": CONFIG_MAP, "Secret": SECRET}
Tell = Callable[[Object, str, str, str], None]
"""(container, type, reason, message) of an event about a container."""


class CannotRun(Exception):
    """A container cannot be started now: its waiting reason and message."""

    def __init__(self, reason: str, message: str, *, told: bool = False, again_at: datetime | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.again_at = again_at
        self.told = told
        """Whether an event has said so already."""


class NoSandbox(Exception):
    """The sandbox cannot be made now; `messages` are those of the events `reason`. `is_final`: not on this node."""

    def __init__(self, reason: str, *messages: str, again_at: datetime | None = None, is_final: bool = False) -> None:
        super().__init__(*messages)
        self.reason = reason
        self.messages = messages
        self.again_at = again_at
        self.is_final = is_final


@dataclass(slots=True)
class Starter:
    """`ids` gathers the sandboxes and containers made, for events about them to find the pod."""

    node: Node
    tell: Tell
    ids: set[str]
    pulling_seconds: float = 0.0
    _has_users: bool = False

    async def start_sandbox(self, pod: Object, attempt: int, observed: Observed) -> None:
        """Raises: NoSandbox, CriError."""
        node = self.node
        if (problem := node.network_problem()) and not is_host_network(pod):
            raise NoSandbox("NetworkNotReady", f"network is not ready: {problem}")
        try:
            await node.volumes.mount(pod)  # before anything runs: a missing ConfigMap keeps the pod from starting
        except NotMounted as failed:
            if failed.no_room:
                raise NoSandbox("VolumeAttachmentLimitExceeded", failed.no_room, is_final=True) from failed
            raise NoSandbox("FailedMount", *failed.messages, again_at=failed.again_at) from failed
        try:
            await node.provisions.prepare(pod)
        except CannotProvide as failed:
            words = f"Failed to prepare dynamic resources: prepare dynamic resources: {failed}"
            raise NoSandbox("FailedPrepareDynamicResources", words) from failed
        if observed.sandboxes:
            words = "Pod sandbox changed, it will be killed and re-created."
            node.recorder.tell(pod, "Normal", "SandboxChanged", words)
        for objection in objections(pod, node.settings):
            node.recorder.tell(pod, "Warning", "DNSConfigForming", objection)
        for old in observed.sandboxes:
            await node.runtime.stop_sandbox(old.id)
        counters.STARTED_PODS.add()
        self._has_users = has_own_users(pod)
        if self._has_users:
            counters.STARTED_USERS.add()
        try:
            await self._run_sandbox(pod, attempt)
        except (CannotProvide, cri.CriError, NameTooLong, OSError) as failed:
            counters.STARTED_PODS_ERRORS.add()
            self._count_users_error()
            raise NoSandbox("FailedCreatePodSandBox", f"Failed to create pod sandbox: {in_words(failed)}") from failed

    async def _run_sandbox(self, pod: Object, attempt: int) -> None:
        node = self.node
        handler = await handler_of(pod, node.client)
        users = await users_of(pod, node.client, node.runtime, node.settings)
        config = sandbox_config(pod, node.settings, attempt, users)
        limits = pod_resources(pod, node.settings.quota_period_micros)
        try:
            await node.cgroups.apply(cgroup_parent(pod, node.settings), node.provisions.limits(pod, limits))
        except OSError as failed:
            words = f"unable to ensure pod container exists: {failed}"
            raise NoSandbox("FailedCreatePodContainer", words) from failed
        async with node.starts.begin():
            begin = node.clock.monotonic()
            try:
                self.ids.add(await node.runtime.run_sandbox(config, runtime_handler=handler))
            except cri.CriError:
                counters.SANDBOX_ERRORS.add(handler)
                raise
            counters.SANDBOXES.observe(node.clock.monotonic() - begin, handler)

    async def start(self, pod: Object, container: Object, restarts: int, observed: Observed, ip: str) -> None:
        """Raises: CannotRun, CriError, ApiError."""
        type_ = container_type(pod, container["name"])
        counters.STARTED.add(type_)
        try:
            await self._begin(pod, container, restarts, observed, ip)
        except CannotRun as failed:
            counters.STARTED_ERRORS.add(type_, failed.reason)
            if restarts == 0:
                self._count_users_error()
            raise

    def _count_users_error(self) -> None:
        """Once a sandbox, whatever of the pod failed first."""
        if self._has_users:
            counters.STARTED_USERS_ERRORS.add()
            self._has_users = False

    async def _begin(self, pod: Object, container: Object, restarts: int, observed: Observed, ip: str) -> None:
        image = await self._image(pod, container)
        for volume in _image_volumes(pod, container):
            await self._volume_image(pod, container, volume)
        for left in observed.containers.get(container["name"], ()):
            if not (left.is_running or left.is_finished):  # made once, but never run
                await self.node.runtime.remove_container(left.id)
        assert observed.sandbox is not None
        await self.node.isolate(pod, observed.sandbox.ips)
        async with self.node.starts.finish():
            id_ = await self._create(pod, container, restarts, image, observed)
            try:
                await _to_its_end(self.node.runtime.start_container(id_))
            except cri.CriError as failed:
                raise CannotRun("RunContainerError", failed.details) from failed
        self.tell(container, "Normal", "Started", "Container started")
        log_links.link(pod, container["name"], id_, restarts, self.node.settings)
        ended = [old for old in observed.containers.get(container["name"], ()) if old.is_finished]
        for old in ended[1:]:
            # Of what ended before, only the last instance is kept: its status, its log and its last words.
            await self.node.runtime.remove_container(old.id)
            forget_instance(pod, old.name, old.restarts, old.id, self.node.settings)
        kept = {old.sandbox_id for group in observed.containers.values() for old in group if old not in ended[1:]}
        for sandbox in observed.sandboxes[1:]:
            if sandbox.id not in kept:
                await self.node.runtime.remove_sandbox(sandbox.id)
        await self._post_start(container, id_, ip)

    async def _post_start(self, container: Object, id_: str, ip: str) -> None:
        hook = dig(container, "lifecycle", "postStart")
        if hook is None:
            return
        target = Target.of(id_, ip, container)
        outcome = await handlers.run(hook, target, self.node.runtime, seconds=None, is_hook=True)
        if not outcome.ok:
            self.tell(container, "Warning", "FailedPostStartHook", "PostStartHook failed")
            raise PostStartFailed(id_, outcome.message)
        if outcome.message:
            self.tell(container, "Warning", handlers.FELL_BACK, outcome.message)

    # ---- image

    async def _image(self, pod: Object, container: Object) -> Image:
        def tell(type_: str, reason: str, message: str) -> None:
            self.tell(container, type_, reason, message)

        return await self._pulled(pod, container, container["image"], container.get("imagePullPolicy"), tell)

    async def _volume_image(self, pod: Object, container: Object, volume: Object) -> None:
        """A volume's image is pulled for each container that mounts it, as the container's own is."""

        def tell(type_: str, reason: str, message: str) -> None:
            self.node.recorder.tell(pod, type_, reason, message)

        source = volume["image"]
        await self._pulled(pod, container, source.get("reference", ""), source.get("pullPolicy"), tell)

    async def _pulled(
        self, pod: Object, container: Object, image: str, policy: str | None, tell: Callable[[str, str, str], None]
    ) -> Image:
        """Raises: CannotRun."""
        namespace = pod["metadata"]["namespace"]
        names = [secret.get("name", "") for secret in pod["spec"].get("imagePullSecrets") or ()]
        secrets = [await self._read("Secret", Key(namespace, name)) for name in names]
        missing = [name for name, secret in zip(names, secrets, strict=True) if secret is None]
        if missing:
            words = f"Unable to retrieve some image pull secrets ({', '.join(missing)}); "
            words += "attempting to pull the image may not succeed."
            self.node.recorder.tell(pod, "Warning", "FailedToRetrieveImagePullSecret", words)

        async def lookup() -> list[Credential]:
            return await self.node.keys.find(pod, [secret for secret in secrets if secret is not None], image)

        begin = self.node.clock.monotonic()
        try:
            return await self.node.images.ensure(
                image, policy or "IfNotPresent", lookup, tell, owner=pod["metadata"]["uid"]
            )
        except ImageError as failed:
            self.tell(container, "Warning", "Failed", f"Error: {failed.reason}")
            raise CannotRun(failed.reason, str(failed), told=True, again_at=failed.again_at) from failed
        finally:
            self.pulling_seconds += self.node.clock.monotonic() - begin

    # ---- container

    async def _create(self, pod: Object, container: Object, restarts: int, image: Image, observed: Observed) -> str:
        node, sandbox = self.node, observed.sandbox
        assert sandbox is not None
        try:
            paths = await node.volumes.mount(pod, [volume["name"] for volume in _image_volumes(pod, container)])
            extras = await node.provisions.extras(pod, container)
            values = {**extras.environment, **await self._environment(pod, container, observed, paths)}
            users = await users_of(pod, node.client, node.runtime, node.settings)
            can = await recurses(pod, container, node.client, node.runtime)
            bindings = await node.volumes.bind(pod, container, values, recursive_read_only=can)
        except (CannotProvide, EnvError, OSError, VolumeError) as failed:
            raise CannotRun("CreateContainerConfigError", in_words(failed)) from failed
        user = _user(pod, container, image)
        try:
            files = container_files(pod, container, restarts, sandbox, node.settings)
        except OSError as failed:
            words = f"failed to write the container's files: {in_words(failed)}"
            raise CannotRun("CreateContainerConfigError", words) from failed
        target = _target(container, observed)
        around = Surroundings(values, bindings, files, image.id, restarts, user, target, extras, users)
        config = container_config(pod, container, around, node.settings)
        try:
            id_ = await node.runtime.create_container(
                sandbox.id, config, sandbox_config(pod, node.settings, sandbox.attempt, users)
            )
        except cri.CriError as failed:
            raise CannotRun("CreateContainerError", failed.details) from failed
        self.ids.add(id_)
        self.tell(container, "Normal", "Created", "Container created")
        return id_

    async def _environment(
        self, pod: Object, container: Object, observed: Observed, paths: Mapping[str, Path]
    ) -> dict[str, str]:
        node, namespace = self.node, pod["metadata"]["namespace"]
        found = {
            (kind, name): await self._read(kind, Key(namespace, name)) for kind, name in sorted(references(container))
        }
        api = node.view.get(SERVICE, Key("default", "kubernetes"))
        seen = [*([api] if api else []), *node.view.select(SERVICE, namespace)]  # all, in a large cluster, are too many
        services = service_variables(seen, namespace, links=pod["spec"].get("enableServiceLinks", True))
        own = node.view.get(NODE, Key("", node.settings.node_name)) or {}
        addressed = _with_addresses(pod, observed, node.settings)
        wanted = files(container)
        read = await asyncio.to_thread(read_all, wanted, paths) if wanted else {}
        return environment(addressed, container, own, services, lambda kind, name: found.get((kind, name)), read)

    async def _read(self, kind: str, key: Key) -> Object | None:
        try:
            return await self.node.client.get(_KINDS[kind], key)
        except NotFound:
            return None


class PostStartFailed(Exception):
    """The container runs but its postStart hook failed: it has to be stopped."""

    def __init__(self, container_id: str, message: str) -> None:
        super().__init__(message)
        self.container_id = container_id


async def _to_its_end(work: Coroutine[Any, Any, None]) -> None:
    """Whoever gives up waiting still waits: a start that is broken off leaves a container that failed by itself."""
    task = asyncio.create_task(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        raise


def _user(pod: Object, container: Object, image: Image) -> ImageUser:
    """Whom the image runs as. Raises: CannotRun."""
    user = ImageUser(image.uid, image.username)
    if why := root_refused(pod, container, user):
        where = f'(pod: "{full_name(pod)}", container: {container["name"]})'
        raise CannotRun("CreateContainerConfigError", f"{why} {where}")
    return user


def _image_volumes(pod: Object, container: Object) -> list[Object]:
    names = {mount["name"] for mount in container.get("volumeMounts") or ()}
    return [volume for volume in pod["spec"].get("volumes") or () if "image" in volume and volume["name"] in names]


def _target(container: Object, observed: Observed) -> str:
    """The container whose processes an ephemeral container sees. Raises: CannotRun."""
    name = container.get("targetContainerName")
    if not name:
        return ""
    found = observed.current(name)
    if found is None or not found.is_running:
        raise CannotRun("CreateContainerConfigError", f"unable to find target container {name}")
    return found.id


def _with_addresses(pod: Object, observed: Observed, settings: Settings) -> Object:
    """The pod with the addresses it has by now: env may show them before the API knows."""
    ips: tuple[str, ...] = settings.host_ips if is_host_network(pod) else ()
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
