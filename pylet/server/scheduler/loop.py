"""Feeds `decide` with what changes, and has done what it decides.

The snapshot follows the tables change by change. A pod that was placed counts on its node at once (assumed), while its
binding is on its way; a binding that fails gives the place back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.kind import Kind
from pylet.api.kinds.csidriver import KIND as CSI_DRIVER
from pylet.api.kinds.csinode import KIND as CSI_NODE
from pylet.api.kinds.csistoragecapacity import KIND as CAPACITY
from pylet.api.kinds.deviceclass import KIND as DEVICE_CLASS
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as RESOURCE_CLAIM
from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.kinds.volumeattachment import KIND as ATTACHMENT
from pylet.api.object import Object, dig, is_terminating
from pylet.client.events import Recorder
from pylet.client.interface import Client
from pylet.client.view import Entry, Table, View
from pylet.server.scheduler.acting import Writer
from pylet.server.scheduler.changes import offers
from pylet.server.scheduler.counted import Counted
from pylet.server.scheduler.decide import (
    Broken,
    Change,
    Placement,
    Profile,
    Unschedulable,
    decide,
    profile_of,
    scheduler_of,
)
from pylet.server.scheduler.model import Pending, PodInfo, counts_on_node
from pylet.server.scheduler.plugins import PROFILE
from pylet.server.scheduler.plugins.dynamic_resources import PLUGIN as DEVICES
from pylet.server.scheduler.preempt import Preemption, Useless, preempt
from pylet.server.scheduler.preparing import Claimed, Preparing, Unprepared
from pylet.server.scheduler.queue import Tried
from pylet.server.scheduler.snapshot import Snapshot
from pylet.server.scheduler.waiting import Waiting

log = logging.getLogger(__name__)

_BINDINGS = 64  # in flight at a time
_YIELD_AFTER = 16  # decisions between two breaths of the loop: each takes up to a few milliseconds
_SCHEDULING = "Scheduling"
_MESSAGE_BYTES = 1024
_OTHERS = (VOLUME, CLAIM, CLASS, CSI_NODE, CSI_DRIVER, CAPACITY, ATTACHMENT, RESOURCE_CLAIM, SLICE, DEVICE_CLASS)


class Scheduler:
    def __init__(
        self,
        client: Client,
        tables: Mapping[Kind, Table],
        clock: Clock,
        *,
        profiles: Sequence[Profile] = (PROFILE,),
        host: str = "",
    ) -> None:
        """`host` is where it runs, as events say."""
        self._tables = tables
        self._clock = clock
        self._profiles = {profile.scheduler_name: profile for profile in profiles}
        self._snapshot = Snapshot(View(tables))
        self._writer = Writer(client, clock)
        self._preparing = Preparing(client, self._writer, self._snapshot, clock)
        self._recorders = {name: Recorder(client, clock, name, host) for name in self._profiles}
        self._waiting = Waiting(self._profiles, self._snapshot, clock)
        self._assumed: set[str] = set()
        self._start = 0
        self._turn = 0
        self._counted = Counted()

    async def run(self) -> None:
        for entry in self._tables[NODE].entries.values():
            self._node_changed(None, entry)
        for entry in self._tables[POD].entries.values():
            self._pod_changed(None, entry)
        silence = [self._tables[NODE].listen(self._node_changed), self._tables[POD].listen(self._pod_changed)]
        silence += [
            self._tables[kind].listen(partial(self._other_changed, kind)) for kind in _OTHERS if kind in self._tables
        ]
        try:
            async with asyncio.TaskGroup() as group:
                for recorder in self._recorders.values():
                    group.create_task(recorder.run())
                await self._schedule(group.create_task)
        finally:
            for stop in silence:
                stop()

    def metrics(self) -> Iterator[str]:
        known = {"nodes": len(self._snapshot.nodes), "assumed_pods": len(self._assumed)}
        known["pods"] = sum(len(node.pods) for node in self._snapshot.nodes.values())
        waiting = self._waiting
        return self._counted.lines(waiting.lengths(), waiting.moves, waiting.refusals(), known)

    # ---- observing

    def _node_changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is not None:
            self._snapshot.put_node(after.object)
        elif before is not None:
            self._snapshot.remove_node(before.key.name)
        if before is None or after is None or offers(before.object) != offers(after.object):
            self._waiting.tell(NODE, before, after)

    def _other_changed(self, kind: Kind, before: Entry | None, after: Entry | None) -> None:
        self._preparing.look()
        if kind is RESOURCE_CLAIM and (ledger := self._snapshot.devices) is not None:
            ledger.hear(None if before is None else before.object, None if after is None else after.object)
        self._waiting.tell(kind, before, after)

    def _pod_changed(self, before: Entry | None, after: Entry | None) -> None:
        if after is None or not counts_on_node(after.object):
            if before is not None and (after is None or counts_on_node(before.object)):
                self._pod_left(before)
            return
        pod = after.object
        if node := pod["spec"].get("nodeName"):
            self._pod_placed(before, after, node)
        elif scheduler_of(pod) in self._profiles:
            self._pod_waits(before, after)

    def _pod_left(self, entry: Entry) -> None:
        uid = entry.uid
        self._waiting.forget(uid)
        self._assumed.discard(uid)
        self._preparing.look()
        home = self._snapshot.home_of(uid)
        if home is None and not dig(entry.object, "status", "nominatedNodeName"):
            return
        self._snapshot.remove_pod(uid)
        self._waiting.hear(Change(POD, entry.object if home is None else _on(entry.object, home.name), None))

    def _pod_placed(self, before: Entry | None, after: Entry, node: str) -> None:
        uid = after.uid
        self._waiting.forget(uid)
        self._assumed.discard(uid)
        info = PodInfo(after.object)
        self._snapshot.put_pod(info, node)
        if before is None or before.uid != uid or not before.object["spec"].get("nodeName"):
            self._waiting.tell(POD, None, after)
        elif before.labels != after.labels or PodInfo(before.object).requests != info.requests:
            self._waiting.tell(POD, before, after)

    def _pod_waits(self, before: Entry | None, after: Entry) -> None:
        uid, pod = after.uid, after.object
        if uid in self._assumed:
            if is_terminating(pod):
                self._pod_left(after)
            return
        if is_terminating(pod):
            self._waiting.forget(uid)
            return
        if pod["spec"].get("schedulingGates"):
            self._waiting.gate(uid)
            return
        nominated = dig(pod, "status", "nominatedNodeName", default="")
        was = dig(before.object, "status", "nominatedNodeName", default="") if before is not None else ""
        if nominated != was:
            self._snapshot.nominate(PodInfo(pod), nominated)
            if was and before is not None:
                self._waiting.hear(Change(POD, before.object, None))
        self._waiting.put(before, after)

    # ---- deciding

    async def _schedule(self, spawn: Callable[[Coroutine[Any, Any, None]], asyncio.Task[None]]) -> None:
        bindings = asyncio.Semaphore(_BINDINGS)
        decided = 0
        while True:
            pod = Pending((await self._waiting.next()).object)
            if self._claims_devices(pod) and DEVICES.waits(pod, self._snapshot):
                self._waiting.refuse(pod, frozenset((DEVICES.name,)))  # no word: its claims are still to be made
                continue
            try:
                work, is_binding = self._attempt(pod)
            except Broken as failed:
                self._failed(pod)
                self._waiting.retry(pod.uid)
                work, is_binding = self._report(pod.pod, str(failed)), False
            except Exception:  # what is wrong with one pod, or one plugin, must not keep others from their places
                log.exception("cannot decide on pod %s", pod.key)
                self._failed(pod)
                self._waiting.retry(pod.uid)
                continue
            if is_binding:
                await bindings.acquire()
                spawn(work).add_done_callback(lambda _: bindings.release())
            else:
                spawn(work)
            decided += 1
            if decided % _YIELD_AFTER == 0 or not is_binding:
                await asyncio.sleep(0)

    def _claims_devices(self, pod: Pending) -> bool:
        if not DEVICES.concerns(pod):
            return False
        return any(plugin.name == DEVICES.name for plugin, _ in self._profile_of(pod.pod).plugins)

    def _attempt(self, pod: Pending) -> tuple[Coroutine[Any, Any, None], bool]:
        """Decide, and have it count; what is left to be written, and whether it is a binding and no more."""
        profile = self._profile_of(pod.pod)
        self._turn += 1
        match decide(pod, self._snapshot, profile, self._start, self._turn):
            case Placement(node, examined):
                tried = self._waiting.tried(pod.uid)
                self._counted.deciding.observe(self._clock.monotonic() - tried.at)
                self._start += examined
                has_devices = self._claims_devices(pod) and DEVICES.has_any(pod, self._snapshot)
                needs = pod.claims or has_devices
                claimed = self._preparing.claim(pod, node, has_devices=has_devices) if needs else None
                self._assume(pod, node)
                if claimed is not None:
                    return self._bind_prepared(pod, claimed, tried), False
                return self._bind(pod, node, tried), True
            case Unschedulable() as refused:
                self._start += len(refused.refusals)
                work = self._refuse(pod, refused, profile)
                took = self._clock.monotonic() - self._waiting.tried(pod.uid).at
                self._counted.deciding.observe(took)
                self._counted.ended(profile.scheduler_name, "unschedulable", took)
                return work, False

    def _failed(self, pod: Pending, tried: Tried | None = None) -> None:
        """Count an attempt that came to nothing for no reason of the pod's own."""
        began = (tried or self._waiting.tried(pod.uid)).at
        self._counted.ended(scheduler_of(pod.pod), "error", self._clock.monotonic() - began)

    @contextmanager
    def _point(self, name: str, pod: Pending) -> Iterator[None]:
        """Count a point at which plugins are asked, by how it ends."""
        began, status = self._clock.monotonic(), "Error"
        try:
            yield
            status = "Success"
        finally:
            self._counted.points.observe(self._clock.monotonic() - began, name, scheduler_of(pod.pod), status)

    def _profile_of(self, pod: Object) -> Profile:
        return profile_of(pod, self._profiles)

    def _refuse(self, pod: Pending, refused: Unschedulable, profile: Profile) -> Coroutine[Any, Any, None]:
        """Put the pod aside, with room being made for it where that helps; what is left is to be written."""
        self._waiting.refuse(pod, refused.refused_by)
        nominated: str | None = ""
        victims: tuple[PodInfo, ...] = ()
        idle, words = None, "no new claims to deallocate"
        if self._claims_devices(pod) and DEVICES.has_any(pod, self._snapshot):
            idle = DEVICES.idle_claim(pod, self._snapshot)
            words = "still not schedulable" if idle is None else "deallocation of ResourceClaim completed"
        if refused.nodes and profile.may_preempt:
            match self._preempt(pod, refused, profile):
                case Preemption(node, victims):
                    nominated = node
                    self._waiting.hold(pod.uid)
                case Useless(message, keeps_nomination):
                    refused = replace(refused, after=f"{words}, preemption: {message}")
                    nominated = None if keeps_nomination else ""
        if nominated is not None:
            self._snapshot.nominate(pod, nominated)
        return self._write_refusal(pod, refused.message, nominated, victims, idle)

    def _preempt(self, pod: Pending, refused: Unschedulable, profile: Profile) -> Preemption | Useless:
        began = self._clock.monotonic()
        found = preempt(pod, refused, self._snapshot, profile, self._turn)
        self._counted.preempted(profile.scheduler_name, found, self._clock.monotonic() - began)
        return found

    # ---- acting

    def _assume(self, pod: Pending, node: str) -> None:
        self._waiting.take_out(pod.uid)
        self._snapshot.nominate_nowhere(pod.uid)
        self._assumed.add(pod.uid)
        self._snapshot.put_pod(pod, node)

    async def _bind_prepared(self, pod: Pending, claimed: Claimed, tried: Tried) -> None:
        """First what its claims are to have."""

        def tell(reason: str, message: str) -> None:
            self._recorder_of(pod.pod).tell(pod.pod, "Normal", reason, message, action=_SCHEDULING)

        try:
            with self._point("PreBind", pod):
                await self._preparing.prepare(pod, claimed, tell, lambda: pod.uid in self._assumed)
        except Unprepared as failed:
            await self._release(pod, claimed)
            await self._give_back(pod, claimed.node, str(failed), tried)
        else:
            await self._bind(pod, claimed.node, tried)
            if pod.uid in self._waiting:
                await self._release(pod, claimed)
        finally:
            self._preparing.forget(claimed)

    async def _release(self, pod: Pending, claimed: Claimed) -> None:
        for before, after in await self._preparing.give_back(pod, claimed):
            self._waiting.hear(Change(RESOURCE_CLAIM, before, after))

    async def _bind(self, pod: Pending, node: str, tried: Tried) -> None:
        try:
            with self._point("Bind", pod):
                await self._writer.bind(pod.key, pod.uid, node)
        except ApiError as failed:
            await self._give_back(pod, node, failed.message, tried)
            return
        self._counted.bound(scheduler_of(pod.pod), tried, self._clock.monotonic())
        words = f"Successfully assigned {pod.namespace}/{pod.key.name} to {node}"
        self._recorder_of(pod.pod).tell(pod.pod, "Normal", "Scheduled", words, action="Binding")

    async def _give_back(self, pod: Pending, node: str, message: str, tried: Tried) -> None:
        self._failed(pod, tried)
        self._assumed.discard(pod.uid)
        current = self._tables[POD].entries.get(pod.key)
        if current is not None and current.uid == pod.uid and current.object["spec"].get("nodeName"):
            return
        self._snapshot.remove_pod(pod.uid)
        self._waiting.hear(Change(POD, _on(pod.pod, node), None))
        if current is None or current.uid != pod.uid or is_terminating(current.object):
            self._waiting.forget(pod.uid)
            return
        log.warning("bind %s: %s", pod.key, message)
        self._waiting.put_back(current)
        await self._report(current.object, message)

    async def _report(self, pod: Object, message: str) -> None:
        self._recorder_of(pod).tell(pod, "Warning", "FailedScheduling", message, action=_SCHEDULING)
        await self._writer.refused(pod, "SchedulerError", message, "")

    async def _write_refusal(
        self, pod: Pending, message: str, nominated: str | None, victims: tuple[PodInfo, ...], idle: Object | None
    ) -> None:
        if idle is not None:
            await self._preparing.deallocate(idle)
        shown = message if len(message) <= _MESSAGE_BYTES else f"{message[: _MESSAGE_BYTES - 4]} ..."
        self._recorder_of(pod.pod).tell(pod.pod, "Warning", "FailedScheduling", shown, action=_SCHEDULING)
        await self._writer.refused(pod.pod, "Unschedulable", message, nominated)
        if nominated and self._waiting.is_held(pod.uid):
            try:
                await self._make_room(pod, nominated, victims)
            except ApiError as failed:
                log.warning("preemption for %s on %s: %s", pod.key, nominated, failed.message)
                victims = ()
            finally:
                self._waiting.release(pod.uid)
            if not victims or any(self._snapshot.home_of(victim.uid) is None for victim in victims):
                self._waiting.wake(pod.uid, "AssignedPodDelete" if victims else "ForceActivate")

    async def _make_room(self, pod: Pending, node: str, victims: tuple[PodInfo, ...]) -> None:
        view = self._snapshot.view
        for other in list(self._snapshot.nominated.get(node, {}).values()):
            if other.priority < pod.priority and (found := view.get(POD, other.key)) is not None:
                self._snapshot.nominate_nowhere(other.uid)
                await self._writer.nominate(found, "")
        scheduler = self._profile_of(pod.pod).scheduler_name
        for victim in victims:
            found = view.get(POD, victim.key)
            if found is None or found["metadata"]["uid"] != victim.uid or is_terminating(found):
                continue
            if await self._writer.preempt(found, scheduler):
                words = f"Preempted by pod {pod.uid} on node {node}"
                recorder = self._recorder_of(pod.pod)
                recorder.tell(found, "Normal", "Preempted", words, action="Preempting", related=pod.pod)

    def _recorder_of(self, pod: Object) -> Recorder:
        return self._recorders[self._profile_of(pod).scheduler_name]


def _on(pod: Object, node: str) -> Object:
    """The pod as it was assumed to be."""
    return {**pod, "spec": {**pod["spec"], "nodeName": node}}
