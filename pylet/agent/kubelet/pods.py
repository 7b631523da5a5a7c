"""All pods of this node: a worker for each, started when the pod comes and ended when it has gone.

Woken by the pods' table and by the runtime's events. What the runtime still has of pods that the API no longer has is
stopped and removed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.labels import POD_UID
from pylet.agent.kubelet.logrotation import LogRotation
from pylet.agent.kubelet.manifests import is_static
from pylet.agent.kubelet.orphans import orphan_pods
from pylet.agent.kubelet.own_metrics import Doing
from pylet.agent.kubelet.removing import left_logs, remove_logs
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.weighing import Weighing
from pylet.agent.kubelet.worker import Worker
from pylet.agent.kubelet.workplace import Node
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig, is_terminating, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry
from pylet.cri.interface import CriError, EventType
from pylet.cri.messages import ContainerState, SandboxState

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_RELIST_SECONDS = 60.0


class Pods:
    """Runs until cancelled; containers go on running when it stops."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._table = node.view.table(POD)
        self.ended: Callable[[str], None] = lambda uid: None
        """Hears of a pod, by its uid, when nothing is left of it."""
        self.left: Callable[[Object], None] = lambda pod: None
        """Hears of a pod that an earlier kubelet ran, and that is only here to end."""
        self._workers: dict[str, Worker] = {}
        self._unknown: dict[str, tuple[Object, bool]] = {}
        """What runs of pods that only the API knows, if anybody, until it is heard; and whether their sandboxes do."""
        self._relisted_at = 0.0
        self._others = asyncio.Event()
        self._group: asyncio.TaskGroup | None = None
        node.provisions.told, node.volumes.wake, node.end_all = self._poke, self._volumes_changed, self._end_all

    def runs(self, uid: str) -> bool:
        """Whether something of it is here, or may be."""
        return uid in self._workers or uid in self._unknown

    def probes_asked(self) -> list[tuple[Object, str, str, str, int]]:
        """Pod, container, probe, result and how often."""
        return [(worker.pod, *asked) for worker in self._workers.values() for asked in worker.probes_asked]

    def doing(self) -> Doing:
        placement, claimed = self._node.provisions.placement, self._node.provisions.claims_in_use()
        cpus = placement.cpus if placement is not None else None
        return Doing(
            self._node.pods(),
            len(self._workers),
            2 if self._node.cgroups.is_v2 else 1,
            relisted_at=self._relisted_at,
            own_cpus=cpus.own_by_node() if cpus is not None else None,
            shared_cpus=len(cpus.shared) if cpus is not None else 0,
            devices_claimed=claimed,
        )

    async def _end_all(self, pods: Iterable[Object], ending: Ending, within: float | None) -> int:
        workers = [worker for pod in pods if (worker := self._workers.get(uid_of(pod))) is not None]
        for worker in workers:
            worker.fail(ending)
        with_volumes = within is not None
        if within is None:
            within = max((worker.patience_seconds for worker in workers), default=0.0)
        try:
            async with asyncio.timeout(within):
                for worker in workers:
                    await (worker.released if with_volumes else worker.stopped).wait()
        except TimeoutError:
            log.warning("pods that were to end still run, or have volumes, after %d s", within)
        return len(workers)

    async def run(self) -> None:
        try:
            await self._node.images.recover()
        except CriError as failed:
            log.warning("images that an earlier kubelet was pulling: %s", failed)
        async with asyncio.TaskGroup() as group:
            self._group = group
            group.create_task(self._relist())
            group.create_task(Weighing(self._node, self._others).run())
            rotation = LogRotation(
                self._node.runtime,
                self._node.clock,
                self._logs,
                self._node.settings.log_bounds,
            )
            group.create_task(rotation.run())
            await self._take_over()
            self._node.provisions.pods = self._active
            silence = self._table.listen(self._changed)
            try:
                await self._follow_runtime()
            finally:
                silence()
                self._unknown.clear()

    def _changed(self, before: Entry | None, after: Entry | None) -> None:
        if before is not None and (after is None or after.uid != before.uid):
            worker = self._workers.get(before.uid)
            if worker is not None:
                worker.vanish()
        if after is None or dig(after.object, "spec", "nodeName") != self._node.settings.node_name:
            return
        worker = self._workers.get(after.uid)
        if worker is not None:
            worker.update(after.object)
            if before is None or dig(before.object, "spec") != dig(after.object, "spec"):
                self._others.set()  # a resize asks for another share
        elif self._group is not None:
            _, is_ready = unknown = self._unknown.pop(after.uid, (None, False))
            if is_ready:
                self._adopt(after.object)
            self._start(Worker(after.object, self._node, is_new=unknown[0] is None))

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
        self.ended(uid)
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
                await self._node.clock.sleep(_RETRY_SECONDS)

    async def _follow_runtime(self) -> None:
        while True:
            try:
                async for event in self._node.runtime.events():
                    for worker in self._concerned(event.id, everybody=event.type is EventType.RESYNC):
                        worker.poke(exited=event.id)
            except CriError as lost:
                log.warning("events of the container runtime: %s", lost)
            await self._node.clock.sleep(_RETRY_SECONDS)

    async def _relist(self) -> None:
        """The net below the events: should one be lost, one call a minute finds what it would have told."""
        last = self._node.clock.monotonic()
        while True:
            await self._node.clock.sleep(_RELIST_SECONDS)
            begin = self._node.clock.monotonic()
            counters.RELIST_INTERVALS.observe(begin - last)
            last = begin
            try:
                listed = await self._node.runtime.list_containers()
                counters.RELISTS.observe(self._node.clock.monotonic() - begin)
                self._relisted_at = self._node.clock.now().timestamp()
            except CriError as failed:
                log.warning("container runtime: %s", failed)
                continue
            running = {container.id for container in listed if container.state is ContainerState.RUNNING}
            for worker in list(self._workers.values()):
                if not worker.logs.keys() <= running:
                    worker.poke()

    def _active(self) -> list[Object]:
        """Those that may hold something of the node: not those that have ended, or that the API has no more."""
        known = {uid_of(pod) for pod in self._node.pods()}
        kept = [worker.pod for uid, worker in self._workers.items() if uid in known]
        return [pod for pod in kept if not is_finished(pod)]

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
        runtime = self._node.runtime
        while True:
            try:
                sandboxes, containers = await runtime.list_sandboxes(), await runtime.list_containers()
                break
            except CriError as failed:
                log.warning("container runtime: %s", failed)
                await self._node.clock.sleep(_RETRY_SECONDS)
        # From here until changes are listened to nothing is awaited: no deletion falls between.
        ready = {each.labels.get(POD_UID) for each in sandboxes if each.state is SandboxState.READY}
        for pod in orphan_pods(sandboxes, containers, {uid_of(pod) for pod in self._node.pods()}):
            if is_static(pod):
                self._end_left(pod)
            else:
                self._unknown[uid_of(pod)] = pod, uid_of(pod) in ready
        self._table.when_said(self._end_unknown)
        pods = sorted(self._node.pods(), key=lambda pod: str(pod["metadata"].get("creationTimestamp")))
        self._relisted_at = self._node.clock.now().timestamp()
        for pod in pods:
            if uid_of(pod) in ready:
                self._adopt(pod)
        for pod in pods:
            self._start(Worker(pod, self._node))
        kept = self._workers.keys() | self._unknown.keys()
        self._node.allocations.keep(kept)
        self._node.volumes.clean_up(kept)
        for uid in self._node.cgroups.pods():
            if uid not in kept:
                self._node.cgroups.remove_pod(uid)
        assert self._group is not None
        log_root = self._node.settings.log_root
        self._group.create_task(asyncio.to_thread(remove_logs, left_logs(log_root, kept), log_root))

    def _adopt(self, pod: Object) -> None:
        self._node.allocations.admit(pod)
        if not is_terminating(pod):
            self._node.volumes.adopt(pod)

    def _end_unknown(self) -> None:
        """What this node's memory did not know of may be younger than it: the API has to say that it is no more."""
        unknown, self._unknown = self._unknown, {}
        for pod, _ in unknown.values():
            self._end_left(pod)

    def _end_left(self, pod: Object) -> None:
        log.info("ending what is left of pod %s", pod["metadata"]["uid"])
        counters.ORPHANS.add()
        self.left(pod)
        worker = Worker(pod, self._node)
        worker.vanish()
        self._start(worker)
