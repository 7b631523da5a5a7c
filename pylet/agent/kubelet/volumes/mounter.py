"""Makes the volumes of pods real below `<root>/pods/<uid>`, keeps live ones up to date, leaves nothing behind."""

from __future__ import annotations

import asyncio
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from pylet.agent.kubelet.volumes import mounts, volume_types
from pylet.agent.kubelet.volumes.interface import Place, VolumeError, VolumeType
from pylet.agent.kubelet.volumes.references import ApiReferences
from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.object import Key, Object, uid_of
from pylet.client.interface import Client, Tables

log = logging.getLogger(__name__)

_RETRY_SECONDS = 10


@dataclass(slots=True)
class _Mounted:
    """What is known of one pod's volumes; `lock` keeps mount, refresh and unmount of one pod apart."""

    pod: Object
    refers_to: set[tuple[Kind, Key]] = field(default_factory=set)
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class _Tracked:
    """References of one pod: notes what it asked for, so that a change of it reaches the pod."""

    def __init__(self, references: ApiReferences, seen: set[tuple[Kind, Key]]) -> None:
        self._references = references
        self._seen = seen
        self.token = references.token

    async def get(self, kind: Kind, key: Key) -> Object | None:
        self._seen.add((kind, key))
        return await self._references.get(kind, key)


class Volumes:
    """All volumes of this node's pods. `run` must run for live volumes to follow their objects."""

    def __init__(self, root: Path, client: Client, tables: Tables, clock: Clock) -> None:
        self._root = root
        self._clock = clock
        self._types = volume_types()
        self._references = ApiReferences(client, tables, clock, self._object_changed)
        self._mounted: dict[str, _Mounted] = {}
        self._due: dict[str, datetime] = {}
        self._wake = asyncio.Event()

    async def mount(self, pod: Object) -> dict[str, Path]:
        """Make every volume of `pod`, or bring it up to date: volume name → host path. Raises: VolumeError."""
        mounted = self._mounted.setdefault(uid_of(pod), _Mounted(pod))
        mounted.pod = pod
        async with mounted.lock:
            return {volume["name"]: await self._mount(mounted, volume) for volume in pod["spec"].get("volumes") or ()}

    async def unmount(self, pod_uid: str) -> None:
        """Remove everything below the pod's directory; nothing of it may be in use. Raises: OSError."""
        self._due.pop(pod_uid, None)
        mounted = self._mounted.pop(pod_uid, None)
        if mounted is not None:
            async with mounted.lock:
                self._release(mounted)
        self._references.forget_tokens(pod_uid)
        await asyncio.to_thread(_remove, self._root / "pods" / pod_uid)

    def orphans(self, alive: set[str]) -> list[str]:
        """Uids of pods that left a directory behind and are not `alive`."""
        pods = self._root / "pods"
        return [entry.name for entry in pods.iterdir() if entry.name not in alive] if pods.exists() else []

    async def run(self) -> None:
        while True:
            now = self._clock.now()
            for uid in [uid for uid, due in self._due.items() if due <= now]:
                del self._due[uid]
                await self._refresh(uid)
            await self._until_due()

    async def _until_due(self) -> None:
        self._wake.clear()
        waits: float | None = None
        if self._due:
            waits = max(0.0, (min(self._due.values()) - self._clock.now()).total_seconds())
        try:
            await asyncio.wait_for(self._wake.wait(), waits)
        except TimeoutError:
            return

    async def _refresh(self, uid: str) -> None:
        mounted = self._mounted.get(uid)
        if mounted is None:
            return
        async with mounted.lock:
            for volume in mounted.pod["spec"].get("volumes") or ():
                if not self._type_of(volume)[1].live:
                    continue
                try:
                    await self._mount(mounted, volume)
                except (VolumeError, OSError) as failed:
                    # The container keeps what it has, as upstream: a deleted ConfigMap does not empty a running pod.
                    log.warning("refresh volume %s of pod %s: %s", volume["name"], uid, failed)
                    self._again(uid, _RETRY_SECONDS)

    async def _mount(self, mounted: _Mounted, volume: Object) -> Path:
        field_name, type_ = self._type_of(volume)
        uid = uid_of(mounted.pod)
        directory = self._root / "pods" / uid / "volumes" / f"kubernetes.io~{_dashed(field_name)}" / volume["name"]
        place = Place(
            pod=mounted.pod,
            name=volume["name"],
            directory=directory,
            references=_Tracked(self._references, mounted.refers_to),
            again_at=self._at(uid),
        )
        try:
            return await type_.mount(volume.get(field_name) or {}, place)
        except OSError as failed:
            raise VolumeError(f"volume {volume['name']}: {failed}") from failed
        except VolumeError as failed:
            raise VolumeError(f'MountVolume.SetUp failed for volume "{volume["name"]}" : {failed}') from failed

    def _type_of(self, volume: Object) -> tuple[str, VolumeType]:
        for name in volume:
            if name in self._types:
                return name, self._types[name]
        asked = next((name for name in volume if name != "name"), "none")
        raise VolumeError(f"volume {volume['name']}: type {asked} is not supported by this node")

    def _object_changed(self, kind: Kind, key: Key) -> None:
        for uid, mounted in self._mounted.items():
            if (kind, key) in mounted.refers_to:
                self._again(uid, 0)

    def _at(self, uid: str) -> Callable[[datetime], None]:
        def again_at(when: datetime) -> None:
            self._due[uid] = min(when, self._due.get(uid, when))
            self._wake.set()

        return again_at

    def _again(self, uid: str, after_seconds: float) -> None:
        self._at(uid)(self._clock.now() + timedelta(seconds=after_seconds))

    def _release(self, gone: _Mounted) -> None:
        still = set().union(*(other.refers_to for other in self._mounted.values()))
        for kind, key in gone.refers_to - still:
            self._references.release(kind, key)


def _dashed(name: str) -> str:
    """emptyDir → empty-dir, as the directories of upstream's volume plugins are named."""
    return "".join(f"-{char.lower()}" if char.isupper() else char for char in name)


def _remove(directory: Path) -> None:
    mounts.unmount_below(directory)
    if directory.exists():
        shutil.rmtree(directory)
