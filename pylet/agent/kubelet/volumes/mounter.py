"""Makes the volumes of pods real below `<root>/pods/<uid>`, keeps live ones up to date, leaves nothing behind.

A volume that cannot be made is tried again with growing delays, or at once when an object it shows has changed; no
volume waits for another, no pod for another pod.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.volumes import bindings, volume_types
from pylet.agent.kubelet.volumes.bindings import Bindings, Mounted
from pylet.agent.kubelet.volumes.claims import check_node, resolve, used
from pylet.agent.kubelet.volumes.counting import NO_PLUGIN, operation, plugin_name
from pylet.agent.kubelet.volumes.csi import driver_usage, unstage_unused
from pylet.agent.kubelet.volumes.image import ImageSource
from pylet.agent.kubelet.volumes.interface import (
    AS_BLOCK,
    MOUNT_DEVICE,
    SET_UP,
    Host,
    Place,
    VolumeError,
    VolumeType,
    Waiting,
)
from pylet.agent.kubelet.volumes.known import PodVolumes, Tracked, trouble
from pylet.agent.kubelet.volumes.references import ApiReferences
from pylet.agent.kubelet.volumes.teardown import VOLUMES, TearDown, volumes_in
from pylet.agent.kubelet.volumes.usage import Usage, size_of_device, usage
from pylet.aio.clock import Clock
from pylet.aio.failures import in_words
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, is_terminating, uid_of
from pylet.client.interface import Client, Tables
from pylet.cri.socket import CallError

log = logging.getLogger(__name__)

_PATIENCE = timedelta(minutes=2, seconds=3)  # podAttachAndMountTimeout of upstream's volume manager
_RETRY_SECONDS = 10


class NotMounted(VolumeError):
    """Not all volumes are there yet: the text says why. `messages` are those not told before; try at `again_at`.

    `no_room` says why this node will not have them: the pod must go elsewhere.
    """

    def __init__(self, why: str, messages: list[str], again_at: datetime, no_room: str = "") -> None:
        super().__init__(why)
        self.messages = messages
        self.again_at = again_at
        self.no_room = no_room


class Volumes:
    """All volumes of this node's pods. `run` must run for live volumes to follow their objects.

    `wake`, once set, hears the uid of a pod that waits for a volume when it is worth another try.
    """

    def __init__(
        self, root: Path, client: Client, tables: Tables, clock: Clock, images: ImageSource | None = None
    ) -> None:
        self._root = root
        self._clock = clock
        self._types = volume_types()
        self._plugins = {type_.plugin: type_ for type_ in self._types.values()}
        self.host = Host(root, clock, images)
        self._references = ApiReferences(client, tables, clock, self._object_changed)
        self.token = self._references.token
        self._pods: dict[str, PodVolumes] = {}
        self._due: dict[str, datetime] = {}
        self._orphans: set[str] = set()
        self._left_to_adopt: set[str] = set()
        self._teardown = TearDown(self.host, self._plugins)
        self._again = asyncio.Event()
        self.wake: Callable[[str], None] = lambda uid: None

    async def mount(self, pod: Object, images: Collection[str] = ()) -> Mapping[str, Path]:
        """Make those volumes of `pod` that are not there yet: volume name → host path. Raises: NotMounted.

        Of the image volumes only those named in `images`, which must have been pulled.
        """
        known = self._pods.setdefault(uid_of(pod), PodVolumes(pod, self._clock.now()))
        known.pod = pod
        async with known.lock:
            now = self._clock.now()
            wanted = [volume for volume in used(pod) if "image" not in volume or volume["name"] in images]
            missing = [volume for volume in wanted if volume["name"] not in known.done]
            tried = [v for v in missing if v["name"] not in known.trouble or known.trouble[v["name"]].until <= now]
            await asyncio.gather(*(self._try(known, volume) for volume in tried))
            if any(volume["name"] not in known.done for volume in wanted):
                raise self._not_mounted(known, [volume["name"] for volume in tried])
            return {name: volume.path for name, volume in known.done.items()}

    def adopt(self, pod: Object) -> None:
        """The pod has run since before pylet did: what is mounted is looked at again, and kept up from then on."""
        self._pods.setdefault(uid_of(pod), PodVolumes(pod, self._clock.now()))
        self._left_to_adopt.add(uid_of(pod))
        self._again.set()

    def follow(self, pod: Object) -> None:
        """The pod has changed: files that show its own fields do too."""
        known = self._pods.get(uid_of(pod))
        if known is None:
            return
        before, known.pod = known.pod, pod
        if _shown(before) != _shown(pod):
            self._at(uid_of(pod))(self._clock.now())

    def freeze(self, pod_uid: str) -> None:
        """The API has the pod no more, nor, soon, what it shows: that stays as it is until the pod has ended."""
        if known := self._pods.get(pod_uid):
            known.is_frozen = True

    async def bind(
        self, pod: Object, container: Object, environment: Mapping[str, str], *, recursive_read_only: bool = False
    ) -> Bindings:
        """What `container` sees of the volumes that `mount` has made. Raises: VolumeError."""
        known = self._pods.get(uid_of(pod))
        done = {} if known is None else known.done
        directory, can = self._pod_dir(uid_of(pod)), recursive_read_only
        return await bindings.bind(directory, container, done, environment, recursive_read_only=can)

    async def usage(self, pod_uid: str) -> Mapping[str, Usage]:
        """How full the volumes of a pod are, by name; those that live and die with others' files are left out."""
        known = self._pods.get(pod_uid)
        found: dict[str, Usage] = {}
        for name, volume in (known.done if known is not None else {}).items():
            with suppress(OSError, CallError):
                if (told := await self._usage(self._pod_dir(pod_uid), volume)) is not None:
                    found[name] = told
        return found

    async def _usage(self, pod_dir: Path, volume: Mounted) -> Usage | None:
        """None where nobody counts. Raises: OSError, CallError."""
        if volume.plugin.startswith("kubernetes.io/csi"):
            as_block = pod_dir / "volumeDevices" / "kubernetes.io~csi" / volume.volume
            return await driver_usage(as_block if volume.block else volume.path.parent, self.host)
        if volume.block:
            return await asyncio.to_thread(size_of_device, volume.path)
        return await asyncio.to_thread(usage, volume.path) if volume.path.is_relative_to(pod_dir) else None

    def in_use(self) -> list[str]:
        """Names of the attachable volumes that pods of this node use, as `status.volumesInUse` lists them."""
        return sorted(set(self.host.in_use.values()))

    def census(self) -> Mapping[tuple[str, str], int]:
        """How many volumes there are and are to be, by plugin and state."""
        found: Counter[tuple[str, str]] = Counter()
        for known in self._pods.values():
            for volume in used(known.pod):
                mounted = known.done.get(volume["name"])
                found[mounted.plugin if mounted else NO_PLUGIN, "desired_state_of_world"] += 1
                if mounted:
                    found[mounted.plugin, "actual_state_of_world"] += 1
        return found

    async def unmount(self, pod_uid: str) -> None:
        """Remove everything below the pod's directory; nothing of it may be in use. Raises: VolumeError."""
        await self._clear(pod_uid, self._pod_dir(pod_uid))

    async def release(self, pod_uid: str) -> None:
        """Remove the volumes of a pod that runs no more; its other files stay. Raises: VolumeError."""
        await self._clear(pod_uid, *(self._pod_dir(pod_uid) / top for top in VOLUMES))

    async def _clear(self, pod_uid: str, *everything: Path) -> None:
        self._due.pop(pod_uid, None)
        known = self._pods.pop(pod_uid, None)
        if known is not None:
            async with known.lock:
                self._release(known)
        self._references.forget_tokens(pod_uid)
        await self._teardown.attempt(pod_uid, self._pod_dir(pod_uid), everything)
        if self.host.failed_to_unstage:
            self._again.set()

    def clean_up(self, alive: set[str]) -> None:
        """Unmount, as soon as it can be done, what pods that are not `alive` left behind when pylet did not run."""
        pods = self._root / "pods"
        for found in (volume for pod_dir in pods.glob("*") for volume in volumes_in(pod_dir)):
            counters.RECONSTRUCTED.add()
            if found.parent.name.partition("~")[2] not in self._plugins:
                counters.RECONSTRUCTED_ERRORS.add()
        left = {entry.name for entry in pods.iterdir()} - alive if pods.exists() else set()
        self._orphans.update(left)
        self._again.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:  # a task for each pod: a volume that hangs holds up its own pod alone
            while True:
                now = self._clock.now()
                while self._orphans:
                    group.create_task(self._supervise(self._bury, self._orphans.pop()))
                while self._left_to_adopt:
                    group.create_task(self._supervise(self._adopt, self._left_to_adopt.pop()))
                while self.host.failed_to_unstage:
                    group.create_task(self._supervise(self._unstage, self.host.failed_to_unstage.pop()))
                for uid in [uid for uid, due in self._due.items() if due <= now]:
                    del self._due[uid]
                    group.create_task(self._supervise(self._refresh, uid))
                await self._until_due()

    async def _supervise(self, do: Callable[[str], Awaitable[None]], whose: str) -> None:
        """A bug in one pod's handling must not end the others. `whose` is a pod's uid, or a driver's name."""
        try:
            await do(whose)
        except Exception:
            log.exception("volumes of %s", whose)

    async def _adopt(self, uid: str) -> None:
        while (known := self._pods.get(uid)) is not None and not (known.is_frozen or is_terminating(known.pod)):
            try:
                await self.mount(known.pod)
                return
            except NotMounted as failed:
                for words in failed.messages:
                    log.warning("pod %s, which runs: %s", uid, words)
            await self._clock.sleep(_RETRY_SECONDS)

    async def _bury(self, uid: str) -> None:
        while True:
            try:
                return await self.unmount(uid)
            except VolumeError as failed:
                log.warning("remove what is left of pod %s: %s", uid, failed)
            await self._clock.sleep(self._teardown.delays[uid].total_seconds())

    async def _unstage(self, driver: str) -> None:
        """A driver that comes back is asked when it is registered."""
        while (known := self.host.drivers.get(driver)) is not None:
            await self._clock.sleep(_RETRY_SECONDS)
            try:
                return await unstage_unused(self.host, known)
            except VolumeError as failed:
                log.warning("CSI driver %s: %s", driver, failed)

    async def _until_due(self) -> None:
        self._again.clear()
        waits: float | None = None
        if self._due:
            waits = max(0.0, (min(self._due.values()) - self._clock.now()).total_seconds())
        try:
            await asyncio.wait_for(self._again.wait(), waits)
        except TimeoutError:
            return

    async def _refresh(self, uid: str) -> None:
        known = self._pods.get(uid)
        if known is None or known.is_frozen or is_terminating(known.pod):
            return  # what a pod shows may go before it does, with its namespace
        async with known.lock:
            for volume in used(known.pod):
                if volume["name"] in known.done:
                    await self._look_again(known, volume)

    async def _look_again(self, known: PodVolumes, volume: Object) -> None:
        """What cannot be renewed stays as it is, as upstream: a deleted ConfigMap does not empty a running pod."""
        name = volume["name"]
        before = known.stale.pop(name, None)
        try:
            await self._mount(known, volume, live_only=True)
        except (VolumeError, ApiError) as failed:
            known.stale[name] = left = trouble(failed, name, before, self._clock.now())
            self._at(uid_of(known.pod))(left.until)
            if not left.told:
                self.host.tell(known.pod, "Warning", _reason(left.message), left.message)

    async def _try(self, known: PodVolumes, volume: Object) -> None:
        name = volume["name"]
        before = known.trouble.pop(name, None)
        try:
            known.done[name] = await self._mount(known, volume)
        except (VolumeError, ApiError) as failed:
            known.trouble[name] = trouble(failed, name, before, self._clock.now())

    async def _mount(self, known: PodVolumes, volume: Object, *, live_only: bool = False) -> Mounted:
        uid = uid_of(known.pod)
        references = Tracked(self._references, known.refers_to)
        asked = await resolve(known.pod, volume, references)
        type_ = self._type_of(asked.spec)
        if live_only and not type_.live:
            return known.done[volume["name"]]
        block = asked.volume is not None and asked.volume["spec"].get("volumeMode") == "Block"
        top = "volumeDevices" if block else "volumes"
        place = Place(
            pod=known.pod,
            name=asked.name,
            directory=self._pod_dir(uid) / top / f"kubernetes.io~{type_.plugin}" / asked.name,
            references=references,
            again_at=self._at(uid),
            host=self.host,
            volume=asked.volume,
            claim=asked.claim,
            read_only=asked.read_only,
        )
        source = asked.spec.get(type_.source) or {}
        plugin = plugin_name(type_, source)
        if asked.volume is not None and self._is_anothers(asked.volume, known):
            words = "volume uses the ReadWriteOncePod access mode and is already in use by another pod"
            raise VolumeError(_words(AS_BLOCK[MOUNT_DEVICE] if block else SET_UP, asked.name, words))
        try:
            await check_node(known.pod, asked, references)
            with operation(plugin, "map_volume" if block else "volume_mount"):
                path = await type_.mount(source, place)
        except Waiting:
            raise
        except (OSError, VolumeError) as failed:
            tried = failed.operation if isinstance(failed, VolumeError) else SET_UP
            tried = AS_BLOCK.get(tried, tried) if block else tried
            raise VolumeError(_words(tried, asked.name, in_words(failed))) from failed
        if not live_only:
            waited = (self._clock.now() - known.since).total_seconds()
            counters.STORAGE_TOTAL.observe(waited, plugin, "overall_volume_mount")
        persistent = "" if asked.volume is None else asked.name
        read_only = type_.read_only or asked.read_only
        return Mounted(path, read_only=read_only, block=block, plugin=plugin, volume=persistent)

    def _is_anothers(self, volume: Object, known: PodVolumes) -> bool:
        """Whether one pod alone may have it, and another has."""
        if volume["spec"].get("accessModes") != ["ReadWriteOncePod"]:
            return False
        others = [mounted for other in self._pods.values() if other is not known for mounted in other.done.values()]
        return any(mounted.volume == volume["metadata"]["name"] for mounted in others)

    def _not_mounted(self, known: PodVolumes, tried: list[str]) -> NotMounted:
        now = self._clock.now()
        troubles = [known.trouble[name] for name in tried if name in known.trouble]
        messages = [trouble.message for trouble in troubles if not trouble.told]
        no_room = ""
        if now - known.since >= _PATIENCE:
            known.since = now
            names = " ".join(sorted(known.trouble))
            unattached = " ".join(sorted(name for name, trouble in known.trouble.items() if trouble.is_unattached))
            words = f"unmounted volumes=[{names}], unattached volumes=[{unattached}], failed to process volumes=[]"
            words = f"{words}: context deadline exceeded"
            if any(trouble.is_without_room for trouble in known.trouble.values()):
                no_room = f"Node has reached its volume attachment limit, rejecting pod. {words}"
            else:
                messages.append(f"Unable to attach or mount volumes: {words}")
        why = "; ".join(trouble.message for trouble in known.trouble.values())
        return NotMounted(why, messages, min(trouble.until for trouble in known.trouble.values()), no_room)

    def _type_of(self, spec: Object) -> VolumeType:
        for name in spec:
            if name in self._types:
                return self._types[name]
        raise VolumeError("no volume plugin matched")

    def _object_changed(self, kind: Kind, key: Key) -> None:
        now = self._clock.now()
        for uid, known in self._pods.items():
            if (kind, key) not in known.refers_to:
                continue
            if known.trouble:
                known.trouble = {name: replace(trouble, until=now) for name, trouble in known.trouble.items()}
                self.wake(uid)
            self._at(uid)(now)

    def _at(self, uid: str) -> Callable[[datetime], None]:
        def again_at(when: datetime) -> None:
            self._due[uid] = min(when, self._due.get(uid, when))
            self._again.set()

        return again_at

    def _release(self, gone: PodVolumes) -> None:
        still: set[tuple[Kind, Key]] = set().union(*(other.refers_to for other in self._pods.values()))
        for kind, key in gone.refers_to - still:
            self._references.release(kind, key)

    def _pod_dir(self, uid: str) -> Path:
        return self._root / "pods" / uid


def _shown(pod: Object) -> tuple[object, ...]:
    """What of a pod its volumes may show."""
    return pod["metadata"].get("labels"), pod["metadata"].get("annotations"), pod["spec"]


def _reason(message: str) -> str:
    """Of the event about a volume that is there."""
    if message.startswith("MountVolume.NodeExpandVolume "):
        return "VolumeResizeFailed"
    return "FailedMapVolume" if message.startswith("MapVolume.") else "FailedMount"


def _words(operation: str, name: str, failed: str) -> str:
    return f'{operation} failed for volume "{name}" : {failed}'
