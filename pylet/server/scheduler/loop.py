"""Feeds `decide` with what changes and binds what it places.

The snapshot follows the tables change by change. A pod that was placed counts on its node at once (assumed), while its
binding is on its way; a binding that fails gives the place back. What could not be placed waits for a change that may
help, not for a timer; back-off only keeps a hopeless pod from being tried at every such change.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import logging
from collections import Counter
from collections.abc import Mapping

from pylet.aio.clock import Clock
from pylet.api import timestamps
from pylet.api.errors import ApiError, NotFound
from pylet.api.kind import Kind
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, condition_of, conditions_of, dig, is_terminating, key_of
from pylet.client.events import Recorder
from pylet.client.interface import Client, PatchType
from pylet.client.view import Entry, Table, View
from pylet.server.scheduler.decide import Placement, Profile, Unschedulable, decide
from pylet.server.scheduler.model import Pending, PodInfo, counts_on_node
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.snapshot import Snapshot

log = logging.getLogger(__name__)

NAME = "default-scheduler"
_BINDINGS = 64  # in flight at a time
_BACKOFF_SECONDS = (1.0, 10.0)  # upstream's podInitialBackoffSeconds, podMaxBackoffSeconds
_YIELD_AFTER = 16  # decisions between two breaths of the loop: each takes up to a few milliseconds


class Scheduler:
    def __init__(
        self, client: Client, tables: Mapping[Kind, Table], clock: Clock, *, profile: Profile = PROFILE
    ) -> None:
        self._client = client
        self._nodes = tables[NODE]
        self._pods = tables[POD]
        self._clock = clock
        self._profile = profile
        self._snapshot = Snapshot(View(tables))
        self._recorder = Recorder(client, clock, NAME)
        self._ready: list[tuple[int, int, str]] = []  # (-priority, order, uid)
        self._pending: dict[str, Entry] = {}  # by uid: every pod that has no node yet
        self._queued: set[str] = set()
        self._parked: dict[str, float] = {}  # uid → not before; waiting for something to change
        self._assumed: dict[str, str] = {}  # uid → node
        self._tries: Counter[str] = Counter()
        self._order = itertools.count()
        self._work = asyncio.Event()
        self._start = 0
        self._changes = 0
        self.counts: Counter[str] = Counter()

    async def run(self) -> None:
        for entry in self._nodes.entries.values():
            self._node_changed(None, entry)
        for entry in self._pods.entries.values():
            self._pod_changed(None, entry)
        silence = (self._nodes.listen(self._node_changed), self._pods.listen(self._pod_changed))
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._recorder.run())
                await self._schedule(group)
        finally:
            for stop in silence:
                stop()

    # ---- observing

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is None:
            if before is not None:
                self._snapshot.remove_node(before.key.name)
            return
        node = after.object
        self._snapshot.put_node(node)
        if before is None or _offers(before.object) != _offers(node):
            self._reconsider()

    def _pod_changed(self, before: Entry | None, after: Entry | None) -> None:
        entry = after or before
        assert entry is not None
        uid = entry.uid
        if after is None or not counts_on_node(after.object):
            self._forget(uid)
            self._snapshot.remove_pod(uid)
            if before is not None and dig(before.object, "spec", "nodeName"):
                self._reconsider()
            return
        pod = after.object
        node = pod["spec"].get("nodeName")
        if node:
            self._forget(uid)
            self._assumed.pop(uid, None)
            self._snapshot.put_pod(PodInfo(pod), node)
        elif _is_ours(pod) and uid not in self._assumed:
            fresh = uid not in self._pending or _asks(self._pending[uid].object) != _asks(pod)
            self._pending[uid] = after
            if fresh:
                self._queue(uid)
        else:
            self._forget(uid)

    def _forget(self, uid: str) -> None:
        self._pending.pop(uid, None)
        self._parked.pop(uid, None)
        self._tries.pop(uid, None)

    def _reconsider(self) -> None:
        """Something changed that may let a parked pod through."""
        self._changes += 1
        for uid in list(self._parked):
            self._queue(uid)

    def _queue(self, uid: str) -> None:
        if self._parked.get(uid, 0.0) > self._clock.monotonic():
            return
        self._parked.pop(uid, None)
        if uid not in self._queued and uid in self._pending:
            self._queued.add(uid)
            priority = self._pending[uid].object["spec"].get("priority") or 0
            heapq.heappush(self._ready, (-priority, next(self._order), uid))
            self._work.set()

    # ---- deciding and acting

    async def _schedule(self, group: asyncio.TaskGroup) -> None:
        bindings = asyncio.Semaphore(_BINDINGS)
        decided = 0
        while True:
            while not self._ready:
                self._work.clear()
                await self._work.wait()
            _, _, uid = heapq.heappop(self._ready)
            self._queued.discard(uid)
            entry = self._pending.get(uid)
            if entry is None:
                continue
            pod = Pending(entry.object)
            match decide(pod, self._snapshot, self._profile, self._start):
                case Placement(node):
                    self._start += 1
                    self._assume(pod, node)
                    await bindings.acquire()
                    binding = group.create_task(self._bind(pod, node))
                    binding.add_done_callback(lambda _: bindings.release())
                case Unschedulable() as refused:
                    self._park(uid)
                    group.create_task(self._tell(pod.pod, refused))
            decided += 1
            if decided % _YIELD_AFTER == 0:
                await asyncio.sleep(0)

    def _assume(self, pod: Pending, node: str) -> None:
        self._pending.pop(pod.uid, None)
        self._assumed[pod.uid] = node
        self._snapshot.put_pod(pod, node)

    def _park(self, uid: str) -> None:
        """Keep a pod aside: for its back-off at least, then until something changes (or has changed meanwhile)."""
        first, longest = _BACKOFF_SECONDS
        wait = min(first * 2 ** min(self._tries[uid], 10), longest)
        self._tries[uid] += 1
        self._parked[uid] = self._clock.monotonic() + wait
        asyncio.get_running_loop().call_later(wait, self._unpark, uid, self._changes)

    def _unpark(self, uid: str, seen: int) -> None:
        if self._changes != seen:
            self._queue(uid)

    async def _bind(self, pod: Pending, node: str) -> None:
        name, namespace = pod.key.name, pod.namespace
        binding: Object = {
            "apiVersion": "v1",
            "kind": "Binding",
            "metadata": {"name": name, "namespace": namespace, "uid": pod.uid},
            "target": {"apiVersion": "v1", "kind": "Node", "name": node},
        }
        try:
            await self._client.create(POD, binding, key=pod.key, subresource="binding")
        except ApiError as failed:
            self.counts["error"] += 1
            self._give_back(pod, failed)
            return
        self.counts["scheduled"] += 1
        words = f"Successfully assigned {namespace}/{name} to {node}"
        self._recorder.tell(pod.pod, "Normal", "Scheduled", words)

    def _give_back(self, pod: Pending, failed: ApiError) -> None:
        self._assumed.pop(pod.uid, None)
        current = self._pods.entries.get(pod.key)
        if current is None or current.uid != pod.uid or current.object["spec"].get("nodeName"):
            if current is None:
                self._snapshot.remove_pod(pod.uid)
            return
        self._snapshot.remove_pod(pod.uid)
        log.warning("bind %s: %s", pod.key, failed.message)
        if _is_ours(current.object):
            self._pending[pod.uid] = current
            self._park(pod.uid)

    async def _tell(self, pod: Object, refused: Unschedulable) -> None:
        self.counts["unschedulable"] += 1
        self._recorder.tell(pod, "Warning", "FailedScheduling", refused.message)
        current = condition_of(pod, "PodScheduled")
        condition = {
            "type": "PodScheduled",
            "status": "False",
            "reason": "Unschedulable",
            "message": refused.message,
            "observedGeneration": pod["metadata"].get("generation", 0),
        }
        if current is not None and all(current.get(name) == value for name, value in condition.items()):
            return
        since = timestamps.format_time(self._clock.now())
        if current is not None and current["status"] == "False":
            since = current["lastTransitionTime"]
        conditions = [c for c in conditions_of(pod) if c["type"] != "PodScheduled"]
        patch = {"status": {"conditions": [*conditions, {**condition, "lastTransitionTime": since}]}}
        try:
            await self._client.patch(
                POD, key_of(pod), patch, type_=PatchType.STRATEGIC, subresource="status", manager="kube-scheduler"
            )
        except NotFound:
            return
        except ApiError as failed:
            log.warning("status of pod %s: %s", key_of(pod), failed.message)


def _is_ours(pod: Object) -> bool:
    spec = pod["spec"]
    return (
        spec.get("schedulerName", NAME) == NAME
        and not spec.get("nodeName")
        and not spec.get("schedulingGates")
        and not is_terminating(pod)
    )


def _asks(pod: Object) -> Object:
    """What of a pod decides where it may go."""
    return {**pod["spec"], "labels": pod["metadata"].get("labels")}


def _offers(node: Object) -> Object:
    """What of a node decides whom it may take."""
    return {
        "labels": node["metadata"].get("labels"),
        "spec": node["spec"],
        "allocatable": dig(node, "status", "allocatable"),
    }
