"""All pods of this node: a worker for each, started when the pod comes and ended when it has gone.

Woken by the pods' table and by the runtime's events. What the runtime still has of pods that the API no longer has is
stopped and removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Protocol

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.actions import TERMINAL
from pylet.agent.kubelet.admission import Abilities
from pylet.agent.kubelet.allocations import Allocations
from pylet.agent.kubelet.cgroups import Cgroups
from pylet.agent.kubelet.credentials import Keys
from pylet.agent.kubelet.images import Images
from pylet.agent.kubelet.labels import POD_UID
from pylet.agent.kubelet.logrotation import LogRotation
from pylet.agent.kubelet.machine import has_apparmor
from pylet.agent.kubelet.orphans import orphan_pods
from pylet.agent.kubelet.own_metrics import Doing
from pylet.agent.kubelet.provisions import Provisions
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.turns import PEAK, Turns
from pylet.agent.kubelet.weighing import Weighing
from pylet.agent.kubelet.worker import Worker
from pylet.agent.kubelet.workplace import Isolate, Node, Volumes, is_open
from pylet.aio.clock import Clock
from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig, is_terminating, uid_of
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.client.view import Entry, Table, View
from pylet.cri.interface import CriError, EventType, Runtime
from pylet.cri.messages import ContainerState, SandboxState

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_RELIST_SECONDS = 60.0
_LEAST_WAIT_SECONDS = 10.0


class NodeVolumes(Volumes, Protocol):
    """The volumes of all pods of the node; `wake` hears the uid of a pod for which another try is worth while."""

    wake: Callable[[str], None]

    def clean_up(self, alive: set[str]) -> None: ...


class Pods:
    """Runs until cancelled; containers go on running when it stops. `cgroups` are the machine's if not given."""

    def __init__(
        self,
        client: Client,
        runtime: Runtime,
        volumes: NodeVolumes,
        tables: Mapping[Kind, Table],
        clock: Clock,
        settings: Settings,
        provisions: Provisions,
        cgroups: Cgroups | None = None,
        images: Images | None = None,
        keys: Keys | None = None,
        isolate: Isolate = is_open,
        network_problem: Callable[[], str] = str,
    ) -> None:
        self._runtime = runtime
        self._volumes = volumes
        self._table = tables[POD]
        self._clock = clock
        self._settings = settings
        self._cgroups = cgroups or Cgroups(settings.groups)
        recorder = Recorder(client, clock, "kubelet", settings.node_name)
        self.recorder = recorder
        self.closing = asyncio.Event()
        """That the machine goes down: no pod begins any more."""
        abilities = Abilities(has_apparmor(), settings.unsafe_sysctls)
        self._node = Node(
            client,
            runtime,
            volumes,
            images or Images(runtime, clock),
            keys or Keys(settings.root),
            View(tables),
            clock,
            recorder,
            settings,
            self._cgroups,
            abilities,
            Turns(PEAK),
            self.pods,
            self.end_all,
            self.closing,
            provisions,
            Allocations(settings.root),
            isolate=isolate,
            network_problem=network_problem,
        )
        provisions.told = self._poke
        self._workers: dict[str, Worker] = {}
        self._relisted_at = 0.0
        self._others = asyncio.Event()
        volumes.wake = self._volumes_changed
        self._group: asyncio.TaskGroup | None = None
        self.tell_node: Callable[[str, str, str], None] = lambda _type, _reason, _message: None
        """Makes an Event about the node: type, reason and message; to be set before it runs."""

    def pods(self) -> list[Object]:
        """Those bound to this node, as the API has them."""
        mine = self._table.with_field("spec.nodeName", self._settings.node_name).values()
        return [entry.object for entry in mine]

    def probes_asked(self) -> list[tuple[Object, str, str, str, int]]:
        """Pod, container, probe, result and how often."""
        return [(worker.pod, *asked) for worker in self._workers.values() for asked in worker.probes_asked]

    def doing(self) -> Doing:
        placement, claimed = self._node.provisions.placement, self._node.provisions.claims_in_use()
        cpus = placement.cpus if placement is not None else None
        return Doing(
            self.pods(),
            len(self._workers),
            2 if self._cgroups.is_v2 else 1,
            relisted_at=self._relisted_at,
            own_cpus=cpus.own_by_node() if cpus is not None else None,
            shared_cpus=len(cpus.shared) if cpus is not None else 0,
            devices_claimed=claimed,
        )

    def end(self, uid: str, ending: Ending) -> bool:
        """Make a pod fail, for the node's sake; whether it was there to be ended."""
        worker = self._workers.get(uid)
        if worker is None:
            return False
        worker.fail(ending)
        return True

    async def end_all(self, pods: Iterable[Object], ending: Ending, within: float | None = None) -> None:
        """Make them fail, and wait until nothing of them runs any more; not longer than `within` seconds.

        Without it they have half as long again as they were given.
        """
        workers = [worker for pod in pods if (worker := self._workers.get(uid_of(pod))) is not None]
        for worker in workers:
            worker.fail(ending)
        if within is None:
            within = max((_LEAST_WAIT_SECONDS, *(worker.grace_seconds() * 1.5 for worker in workers)))
        try:
            async with asyncio.timeout(within):
                for worker in workers:
                    await worker.stopped.wait()
        except TimeoutError:
            log.warning("pods that were to end still run after %d s", within)

    async def run(self) -> None:
        try:
            await self._node.images.recover()
        except CriError as failed:
            log.warning("images that an earlier kubelet was pulling: %s", failed)
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self.recorder.run())
            group.create_task(self._relist())
            weighing = Weighing(self._cgroups, self._settings, self._clock, self.pods, self._others, self.tell_node)
            group.create_task(weighing.run())
            rotation = LogRotation(
                self._runtime,
                self._clock,
                self._logs,
                most_bytes=self._settings.log_max_bytes,
                most_files=self._settings.log_max_files,
            )
            group.create_task(rotation.run())
            await self._take_over()
            self._node.provisions.pods = self._active
            silence = self._table.listen(self._changed)
            try:
                await self._follow_runtime()
            finally:
                silence()

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            worker = self._workers.get(before.uid)
            if worker is not None:
                worker.vanish()
        if after is None or dig(after.object, "spec", "nodeName") != self._settings.node_name:
            return
        worker = self._workers.get(after.uid)
        if worker is not None:
            worker.update(after.object)
            if before is None or dig(before.object, "spec") != dig(after.object, "spec"):
                self._others.set()  # a resize asks for another share
        elif self._group is not None:
            self._start(Worker(after.object, self._node, is_new=True))

    def _start(self, worker: Worker) -> None:
        assert self._group is not None
        uid = worker.pod["metadata"]["uid"]
        self._workers[uid] = worker
        self._others.set()
        task = self._group.create_task(self._supervise(worker), name=f"pod {uid}")
        task.add_done_callback(lambda _: self._gone(uid))

    def _gone(self, uid: str) -> None:
        """What the pod had is free for those that wait for it."""
        self._workers.pop(uid, None)
        self._node.allocations.forget(uid)
        self._node.provisions.release()
        self._others.set()
        for worker in self._workers.values():
            if worker.is_resize_pending:
                worker.poke()

    async def _supervise(self, worker: Worker) -> None:
        """A bug in one pod's handling is logged and tried again; it must not end the others."""
        while True:
            try:
                await worker.run()
                return
            except Exception:
                log.exception("pod %s: trying again in %.0f s", worker.pod["metadata"]["name"], _RETRY_SECONDS)
                await self._clock.sleep(_RETRY_SECONDS)

    async def _follow_runtime(self) -> None:
        while True:
            try:
                async for event in self._runtime.events():
                    for worker in self._concerned(event.id, everybody=event.type is EventType.RESYNC):
                        worker.poke(exited=event.id)
            except CriError as lost:
                log.warning("events of the container runtime: %s", lost)
            await self._clock.sleep(_RETRY_SECONDS)

    async def _relist(self) -> None:
        """The net below the events: should one be lost, one call a minute finds what it would have told."""
        last = self._clock.monotonic()
        while True:
            await self._clock.sleep(_RELIST_SECONDS)
            begin = self._clock.monotonic()
            counters.RELIST_INTERVALS.observe(begin - last)
            last = begin
            try:
                listed = await self._runtime.list_containers()
                counters.RELISTS.observe(self._clock.monotonic() - begin)
                self._relisted_at = self._clock.now().timestamp()
            except CriError as failed:
                log.warning("container runtime: %s", failed)
                continue
            running = {container.id for container in listed if container.state is ContainerState.RUNNING}
            for worker in list(self._workers.values()):
                if not worker.logs.keys() <= running:
                    worker.poke()

    def _active(self) -> list[Object]:
        """Those that may hold something of the node: not those that have ended, or that the API has no more."""
        known = {uid_of(pod) for pod in self.pods()}
        kept = [worker.pod for uid, worker in self._workers.items() if uid in known]
        return [pod for pod in kept if dig(pod, "status", "phase") not in TERMINAL]

    def _poke(self, uids: Iterable[str]) -> None:
        for uid in uids:
            if worker := self._workers.get(uid):
                worker.poke()

    def _volumes_changed(self, pod_uid: str) -> None:
        if worker := self._workers.get(pod_uid):
            worker.volumes_changed()

    def _logs(self) -> dict[str, Path]:
        return {id_: path for worker in self._workers.values() for id_, path in worker.logs.items()}

    def _concerned(self, id_: str, *, everybody: bool) -> Iterable[Worker]:
        return [worker for worker in self._workers.values() if everybody or id_ in worker.ids]

    async def _take_over(self) -> None:
        """What an earlier kubelet left: pods that run go on, others are admitted anew, oldest first.

        What is left of pods that were deleted while nobody looked ends with the grace it was given.
        """
        while True:
            try:
                sandboxes, containers = await self._runtime.list_sandboxes(), await self._runtime.list_containers()
                break
            except CriError as failed:
                log.warning("container runtime: %s", failed)
                await self._clock.sleep(_RETRY_SECONDS)
        # From here until changes are listened to nothing is awaited: no deletion falls between.
        pods = sorted(self.pods(), key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        alive = {uid_of(pod) for pod in pods}
        for pod in orphan_pods(sandboxes, containers, alive):
            log.info("ending what is left of pod %s", pod["metadata"]["uid"])
            counters.ORPHANS.add()
            worker = Worker(pod, self._node)
            worker.vanish()
            self._start(worker)
        self._relisted_at = self._clock.now().timestamp()
        ready = {each.labels.get(POD_UID) for each in sandboxes if each.state is SandboxState.READY}
        for pod in pods:
            if uid_of(pod) in ready:
                self._node.allocations.admit(pod)
                if not is_terminating(pod):
                    self._volumes.adopt(pod)
        for pod in pods:
            self._start(Worker(pod, self._node))
        ending = set(self._workers)
        self._node.allocations.keep(ending)
        self._volumes.clean_up(ending)
        for uid in self._cgroups.pods():
            if uid not in ending:
                self._cgroups.remove_pod(uid)
