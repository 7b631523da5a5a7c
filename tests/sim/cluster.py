"""A whole cluster in virtual time: the real registry, controllers and scheduler on the memory store; hollow nodes.

`running` is the server's own composition less HTTP. A hollow node does for its pods what a kubelet's client sees of
one: it starts them after a while, makes them ready, and ends what is deleted; it renews its lease while it lives.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path

from pylet.api import kinds, timestamps
from pylet.api.errors import ApiError, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object, annotations_of, condition_of, dig, is_terminating
from pylet.client.interface import PatchType
from pylet.client.view import Entry, Table, View
from pylet.server import addons
from pylet.server.admission import CHAIN
from pylet.server.components import Trust, components
from pylet.server.config import ServerConfig
from pylet.server.controllers import local_path
from pylet.server.crd.serving import Definitions
from pylet.server.loopback import Loopback
from pylet.server.pki import Pki
from pylet.server.registry import Registry
from pylet.server.registry.registry import is_stored
from pylet.server.scheduler.decide import Profile
from pylet.store.drivers.memory import MemoryStore
from tests.sim.virtual import START, LoopClock

_RENEW_SECONDS = 10.0
# Annotations of pods, for hollow nodes: never to be started; and the share of pods that fail, others succeed.
STAYS_PENDING = "sim.test/stays-pending"
FAILS = "sim.test/fails"


class Cluster:
    """What a scenario works with. `random` is the only source of chance, so that a seed names a course."""

    def __init__(
        self,
        client: Loopback,
        tables: dict[Kind, Table],
        clock: LoopClock,
        seed: int,
        restart: Callable[[], Awaitable[None]],
    ) -> None:
        self.client = client
        self.tables = tables
        self.view = View(tables)
        self.clock = clock
        self.random = random.Random(seed)
        self.nodes: dict[str, asyncio.Task[None]] = {}
        self.restart = restart  # ends the controllers and the scheduler wherever they are, and starts them anew
        self.counters: list[Callable[[], Iterator[str]]] = []

    def reconciles(self) -> int:
        """How often plans were made and pods tried, since the last restart; each lease's renewal is one of its node."""
        tried = ("controller_runtime_reconcile_total{", "scheduler_schedule_attempts_total{")
        counted = [line for lines in self.counters for line in lines() if line.startswith(tried)]
        return sum(int(line.rpartition(" ")[2]) for line in counted if 'controller="node"' not in line)

    async def apply(self, obj: Object) -> Object:
        group, _, version = obj["apiVersion"].rpartition("/")
        kind = kinds.by_kind(group, version, obj["kind"])
        assert kind is not None, obj
        return await self.client.create(kind, obj)

    async def patch(self, kind: Kind, name: str, patch: Object, namespace: str = "default") -> Object:
        return await self.client.patch(kind, Key(namespace, name), patch)

    def get(self, kind: Kind, name: str, namespace: str = "default") -> Object:
        found = self.view.get(kind, Key(namespace, name))
        assert found is not None, (kind.plural, namespace, name)
        return found

    def pods(self, namespace: str = "default") -> list[Object]:
        return self.view.select(POD, namespace)

    def watch(self, kind: Kind, hear: Callable[[Entry | None, Entry | None], None]) -> None:
        """Have every change checked; what `hear` raises ends the scenario."""
        self.tables[kind].listen(hear)

    async def until(self, is_so: Callable[[], bool], *, seconds: float = 600.0) -> None:
        """Wait until something is so, looking four times a second. Raises: AssertionError after `seconds`."""
        deadline = self.clock.monotonic() + seconds
        while not is_so():
            assert self.clock.monotonic() < deadline, f"not so within {seconds} s"
            await asyncio.sleep(0.25)

    # ---- nodes

    async def start_node(self, name: str, *, cpu: str = "4", pods: str = "110", zone: str = "") -> None:
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        if zone:
            labels["topology.kubernetes.io/zone"] = zone
        if Key("", name) not in self.tables[NODE].entries:
            await self.client.create(
                NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": labels}}
            )
        room = {"cpu": cpu, "memory": "16Gi", "pods": pods, "ephemeral-storage": "100Gi"}
        started = asyncio.Event()
        self.nodes[name] = asyncio.create_task(_HollowNode(self, name, room).run(started))
        await started.wait()

    async def stop_node(self, name: str) -> None:
        """The power is cut."""
        task = self.nodes.pop(name)
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


class _HollowNode:
    def __init__(self, cluster: Cluster, name: str, room: dict[str, str]) -> None:
        self._cluster = cluster
        self._client = cluster.client
        self._clock = cluster.clock
        self._name = name
        self._room = room
        self._endings: dict[str, asyncio.Event] = {}  # by uid, of every pod that has a worker

    async def run(self, started: asyncio.Event) -> None:
        async with asyncio.TaskGroup() as group:
            await self._renew()
            await self._report()
            started.set()
            group.create_task(self._heartbeat())

            def hear(_: Entry | None, after: Entry | None) -> None:
                if after is not None and dig(after.object, "spec", "nodeName") == self._name:
                    self._look_after(group, after)

            def hear_volume(_: Entry | None, after: Entry | None) -> None:
                if after is not None and is_terminating(after.object):
                    group.create_task(self._free_volume(after))

            silence = self._cluster.tables[POD].listen(hear)
            silence_volumes = self._cluster.tables[VOLUME].listen(hear_volume)
            try:
                for entry in list(self._cluster.tables[POD].entries.values()):
                    hear(None, entry)
                await asyncio.Event().wait()
            finally:
                silence()
                silence_volumes()

    def _look_after(self, group: asyncio.TaskGroup, entry: Entry) -> None:
        ending = self._endings.get(entry.uid)
        if ending is None:
            ending = self._endings[entry.uid] = asyncio.Event()
            group.create_task(self._live(entry, ending))
        if is_terminating(entry.object):
            ending.set()

    async def _live(self, entry: Entry, ending: asyncio.Event) -> None:
        """One pod from its start to its end; whatever is deleted ends at the next step."""
        pod, chance = entry.object, self._cluster.random
        starts = dig(pod, "status", "phase") == "Pending" and STAYS_PENDING not in annotations_of(pod)
        for is_ready in (False, True) if starts else ():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), chance.uniform(0.1, 3.0))
            if not ending.is_set():
                await self._set_status(entry, _running(self._clock, is_ready=is_ready))
        if starts and (share := annotations_of(pod).get(FAILS)) is not None:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(ending.wait(), chance.uniform(0.5, 20.0))
            failed = ending.is_set() or chance.random() < float(share)
            await self._set_status(entry, _ended(self._clock, entry.object, code=int(failed)))
        await ending.wait()
        await asyncio.sleep(chance.uniform(0.1, 2.0))
        with contextlib.suppress(ApiError):
            await self._client.delete(POD, entry.key, uid=entry.uid, grace_seconds=0)
        del self._endings[entry.uid]

    async def _free_volume(self, entry: Entry) -> None:
        """The directory of a local volume of this node goes, then the finalizer that waited for that."""
        if annotations_of(entry.object).get(local_path.NODE_ANNOTATION) == self._name:
            await asyncio.sleep(self._cluster.random.uniform(0.1, 2.0))
            with contextlib.suppress(ApiError):
                held = await self._client.get(VOLUME, entry.key)
                left = [name for name in held["metadata"].get("finalizers") or () if name != local_path.NAME]
                await self._client.patch(VOLUME, entry.key, {"metadata": {"finalizers": left}})

    async def _set_status(self, entry: Entry, status: Object) -> None:
        with contextlib.suppress(NotFound):
            await self._client.patch(
                POD, entry.key, {"status": status}, type_=PatchType.STRATEGIC, subresource="status"
            )

    async def _heartbeat(self) -> None:
        while True:
            await asyncio.sleep(_RENEW_SECONDS)
            await self._renew()
            node = self._cluster.view.get(NODE, Key("", self._name))
            if node is not None and (condition_of(node, "Ready") or {}).get("status") != "True":
                await self._report()

    async def _renew(self) -> None:
        key = Key("kube-node-lease", self._name)
        spec = {"holderIdentity": self._name, "renewTime": timestamps.format_micro(self._clock.now())}
        try:
            await self._client.patch(LEASE, key, {"spec": spec})
        except NotFound:
            meta = {"namespace": key.namespace, "name": key.name}
            lease = {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": spec}
            await self._client.create(LEASE, lease)

    async def _report(self) -> None:
        now = timestamps.format_time(self._clock.now())
        types = {"Ready": "True", "MemoryPressure": "False", "DiskPressure": "False", "PIDPressure": "False"}
        conditions = [
            {"type": type_, "status": status, "lastHeartbeatTime": now, "lastTransitionTime": now}
            for type_, status in types.items()
        ]
        status = {"capacity": self._room, "allocatable": self._room, "conditions": conditions}
        await self._client.patch(NODE, Key("", self._name), {"status": status}, subresource="status")


def _running(clock: LoopClock, *, is_ready: bool) -> Object:
    now = timestamps.format_time(clock.now())
    said = "True" if is_ready else "False"
    conditions = [{"type": type_, "status": said, "lastTransitionTime": now} for type_ in ("Ready", "ContainersReady")]
    return {"phase": "Running", "conditions": conditions, "startTime": now}


def _ended(clock: LoopClock, pod: Object, *, code: int) -> Object:
    now = timestamps.format_time(clock.now())
    end = {"exitCode": code, "finishedAt": now, "reason": "Error" if code else "Completed"}
    conditions = [
        {"type": type_, "status": "False", "lastTransitionTime": now} for type_ in ("Ready", "ContainersReady")
    ]
    statuses = [
        {
            "name": container["name"],
            "image": "",
            "imageID": "",
            "ready": False,
            "restartCount": 0,
            "state": {"terminated": end},
        }
        for container in pod["spec"]["containers"]
    ]
    return {"phase": "Failed" if code else "Succeeded", "conditions": conditions, "containerStatuses": statuses}


@asynccontextmanager
async def running(
    directory: Path, *, seed: int = 0, nodes: int = 3, start: datetime = START, profiles: Sequence[Profile] = ()
) -> AsyncIterator[Cluster]:
    """A cluster that has started, with `nodes` ready nodes; keys are kept in `directory` and may be shared."""
    clock = LoopClock(start)
    pki = Pki(directory)
    pki.ensure(["localhost"], START)
    registry = Registry(MemoryStore(), chain=CHAIN, now=clock.now)
    await registry.load()
    definitions = Definitions(registry)
    definitions.start()
    client = Loopback(registry)
    trust = Trust(
        pki.ca.certificate.read_text(),
        pki.authority(clock.now),
        may_have=lambda request, attribute: False,
        mint=lambda account, secret: "a token",
    )
    async with asyncio.TaskGroup() as group:
        following = group.create_task(registry.run())
        await addons.ensure(client, [*addons.namespaces(), addons.local_path()])
        tables = {kind: registry.table(kind) for kind in kinds.all_kinds() if is_stored(kind)}
        working: list[asyncio.Task[None]] = []

        async def restart() -> None:
            for task in working:
                task.cancel()
            await asyncio.gather(*working, return_exceptions=True)
            cluster.counters.clear()
            found = components(
                ServerConfig(),
                lambda user: Loopback(registry, user=user),
                tables,
                definitions,
                trust,
                clock,
                counted=cluster.counters,
                profiles=profiles,
            )
            working[:] = [group.create_task(component) for component in found]

        cluster = Cluster(client, tables, clock, seed, restart)
        await restart()
        await cluster.until(lambda: Key("default", "default") in tables[SERVICE_ACCOUNT].entries)
        for number in range(nodes):
            await cluster.start_node(f"node-{number}", zone=f"zone-{number % 3}")
        yield cluster
        for name in list(cluster.nodes):
            await cluster.stop_node(name)
        for task in (following, *working):
            task.cancel()
