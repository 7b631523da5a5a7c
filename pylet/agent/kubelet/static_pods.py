"""Pods that a file on this node says, not the API: they run with or without a server, and the API shows a mirror.

To the rest of the kubelet they are pods like others: `table` has them in the place of their mirrors, and what `client`
is told of them reaches the mirror. The directory is followed by inotify; one that is not there is looked for again.
What a file says anew, or no more, takes effect when the pod it said before has ended: until then its mirror stays.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from pylet.agent.kubelet.manifests import MIRROR, BadManifest, as_static, is_mirror_of, mirror, static_pod
from pylet.aio.clock import Clock
from pylet.aio.filewatch import FileWatch
from pylet.api.errors import AlreadyExists, ApiError, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, annotations_of, is_terminating, key_of, uid_of
from pylet.client.interface import Changes, Client, Listing, PatchType, Unreachable
from pylet.client.view import Entry, Table

log = logging.getLogger(__name__)

_LOOK_SECONDS = 20.0  # upstream's fileCheckFrequency


class StaticPods:
    """`run` until cancelled; `node_uid` is asked for when a mirror is made."""

    def __init__(
        self,
        client: Client,
        pods: Table,
        clock: Clock,
        directory: Path,
        node_name: str,
        node_uid: Callable[[], str],
    ) -> None:
        self.table = Table(POD)
        self.table.remember(())
        self.client: Client = _ToMirrors(client, self)
        self.pods: dict[Key, Object] = {}
        self.runs: Callable[[str], bool] = lambda uid: False
        """Whether something of the pod with this uid is still to end; who knows calls `ended` when it has."""
        self.told: set[str] = set()
        """Those, by uid, of which this kubelet has told the status."""
        self.tell: Callable[[Object, str, str, str], None] = lambda *_: None
        """Makes an Event: about what, type, reason, message; to be set before it runs."""
        self._ending: dict[Key, str] = {}
        self._ignored: set[str] = set()
        self._client = client
        self._known = pods
        self._clock = clock
        self._directory = directory
        self._node_name = node_name
        self._node_uid = node_uid
        self._texts: dict[Path, bytes] = {}
        self._files: dict[Path, Object] = {}
        self._changed = asyncio.Event()
        self._read()
        for entry in list(pods.entries.values()):
            self._follow(None, entry)
        pods.listen(self._follow)
        pods.when_said(self.table.said)

    async def run(self) -> None:
        while True:
            self._look()
            try:
                async with FileWatch(self._directory) as watch, asyncio.TaskGroup() as group:
                    group.create_task(self._keep_mirrors())
                    while True:
                        self._look(await watch.changed())
            except* OSError:  # there is no such directory (any more)
                self._look()
            async with asyncio.TaskGroup() as group:
                keeping = group.create_task(self._keep_mirrors())
                await self._clock.sleep(_LOOK_SECONDS)
                keeping.cancel()

    def mirror_of(self, key: Key) -> Object | None:
        entry = self._known.entries.get(key)
        return entry.object if entry is not None and is_mirror_of(entry.object, self.pods[key]) else None

    def left(self, pod: Object) -> None:
        """That pod is still to end, and a file that changed meanwhile may say another of its name: that one waits."""
        key = key_of(pod)
        self._ending[key] = uid_of(pod)
        if key in self.pods:
            self.table.remove(key)

    def ended(self, uid: str) -> None:
        """Nothing is left of that pod: the one that has its name may begin."""
        for key in [key for key, ending in self._ending.items() if ending == uid]:
            del self._ending[key]
            self._show(key)

    # ---- files

    def _look(self, gone: Collection[str] = ()) -> None:
        """Of a pod that another file has, too, it is told once: the first file is followed."""
        self._read(gone)
        followed = {uid_of(pod) for pod in self.pods.values()}
        ignored = {uid_of(pod): (path, pod) for path, pod in self._files.items() if uid_of(pod) not in followed}
        for uid in ignored.keys() - self._ignored:
            path, pod = ignored[uid]
            namespace, name = key_of(pod)
            log.warning("%s: another file has pod %s, too, and is followed", path, key_of(pod))
            words = f'{name}_{namespace}({uid}) from file due to duplicate pod name "{name}", ignoring'
            self.tell(pod, "Warning", "FailedValidation", f"Error validating pod {words}")
        self._ignored = set(ignored)

    def _read(self, gone: Collection[str] = ()) -> None:
        """Whose file went away ends, though another of its name has come, saying the same (`gone`)."""
        found = {path: path.read_bytes() for path in _files(self._directory)}
        for path in {path for path in self._files if path not in found or path.name in gone}:
            del self._files[path]
            self._texts.pop(path, None)
        self._take(_first_of_each(self._files))
        for path, text in found.items():
            if self._texts.get(path) != text:
                self._load(path, text)
        self._texts = found
        self._take(_first_of_each(self._files))

    def _load(self, path: Path, text: bytes) -> None:
        try:
            self._files[path] = static_pod(text, str(path), self._node_name, self._clock.now())
        except BadManifest as bad:
            log.warning("%s", bad)

    def _take(self, wanted: Mapping[Key, Object]) -> None:
        for key, pod in list(self.pods.items()):
            if key not in wanted or uid_of(wanted[key]) != uid_of(pod):
                self._drop(key, pod)
        for key, pod in wanted.items():
            if self.pods.get(key) is not pod:
                self.pods[key] = pod
                self._show(key)

    def _show(self, key: Key) -> None:
        pod = self.pods.get(key)
        if pod is not None and key not in self._ending:
            known = self.mirror_of(key)
            if known is not None:
                pod = as_static(pod, known, is_told=uid_of(pod) in self.told)
            self.table.put(Entry.of(POD, pod))
        self._changed.set()

    def _drop(self, key: Key, pod: Object) -> None:
        del self.pods[key]
        self.told.discard(uid_of(pod))
        self.table.remove(key)
        if self.runs(uid_of(pod)):
            self._ending.setdefault(key, uid_of(pod))
        self._changed.set()

    # ---- the API's pods

    def _follow(self, before: Entry | None, after: Entry | None) -> None:
        """Others go through; a mirror only brings what the API knows of its pod."""
        entry = after or before
        assert entry is not None
        if entry.key not in self.pods and MIRROR not in annotations_of(entry.object):
            if after is None:
                self.table.remove(entry.key)
            else:
                self.table.put(after)
            return
        self._changed.set()
        pod = self.pods.get(entry.key)
        if pod is not None and after is not None and is_mirror_of(after.object, pod):
            self._show(entry.key)

    # ---- mirrors

    async def _keep_mirrors(self) -> None:
        while True:
            self._changed.clear()
            try:
                await self._mirror()
            except Unreachable as failed:
                log.warning("mirror pods: %s", failed.message)
            try:
                async with asyncio.timeout(_LOOK_SECONDS):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def _mirror(self) -> None:
        """Raises: Unreachable."""
        for entry in list(self._known.entries.values()):
            if MIRROR not in annotations_of(entry.object) or entry.key in self._ending:
                continue
            pod = self.pods.get(entry.key)
            if pod is None or not is_mirror_of(entry.object, pod) or is_terminating(entry.object):
                await _tried(entry.key, self._client.delete(POD, entry.key, uid=entry.uid, grace_seconds=0), NotFound)
        for key, pod in list(self.pods.items()):
            if key not in self._known.entries and key not in self._ending and self._node_uid():
                await _tried(key, self._client.create(POD, mirror(pod, self._node_uid())), AlreadyExists)


async def _tried(key: Key, call: Awaitable[Object], is_done: type[ApiError]) -> None:
    """What is refused of one pod keeps no other from its mirror; `is_done` says that nothing is left to do.

    Raises: Unreachable.
    """
    try:
        await call
    except Unreachable:
        raise
    except is_done:
        return
    except ApiError as failed:
        log.warning("mirror of pod %s: %s", key, failed.message)


def _first_of_each(files: Mapping[Path, Object]) -> dict[Key, Object]:
    """Of several files with a pod of the same name the first is followed."""
    return {key_of(pod): pod for _, pod in sorted(files.items(), reverse=True)}


class _ToMirrors:
    """A client that tells a static pod's status of its mirror, and never deletes what a file says."""

    def __init__(self, inner: Client, static: StaticPods) -> None:
        self._inner = inner
        self._static = static

    async def patch(
        self, kind: Kind, key: Key, patch: Any, *, type_: PatchType = PatchType.MERGE, **options: Any
    ) -> Object:
        pod = self._static.pods.get(key) if kind is POD else None
        if pod is None:
            return await self._inner.patch(kind, key, patch, type_=type_, **options)
        found = self._static.mirror_of(key)
        if found is None:
            raise NotFound("", "pods", key.name)
        told = {**patch, "metadata": {**(patch.get("metadata") or {}), "uid": uid_of(found)}}
        self._static.told.add(uid_of(pod))  # before the watch can bring it back
        return as_static(pod, await self._inner.patch(kind, key, told, type_=type_, **options))

    async def delete(self, kind: Kind, key: Key, **options: Any) -> Object:
        if kind is POD and key in self._static.pods:
            raise NotFound("", "pods", key.name)
        return await self._inner.delete(kind, key, **options)

    # ---- as it is

    async def get(self, kind: Kind, key: Key, *, subresource: str = "") -> Object:
        return await self._inner.get(kind, key, subresource=subresource)

    async def list(self, kind: Kind, namespace: str = "", **selection: Any) -> Listing:
        return await self._inner.list(kind, namespace, **selection)

    async def create(self, kind: Kind, obj: Object, *, key: Key | None = None, subresource: str = "") -> Object:
        return await self._inner.create(kind, obj, key=key, subresource=subresource)

    async def update(self, kind: Kind, obj: Object, *, subresource: str = "") -> Object:
        return await self._inner.update(kind, obj, subresource=subresource)

    def watch(self, kind: Kind, namespace: str = "", **selection: Any) -> AsyncIterator[Changes]:
        return self._inner.watch(kind, namespace, **selection)


def _files(directory: Path) -> list[Path]:
    try:
        return sorted(path for path in directory.iterdir() if path.is_file() and not path.name.startswith("."))
    except OSError:
        return []
