"""One pod's worker: observe, compute, act, report; woken by what changes, never by a tick.

What it does to different containers runs side by side, each in a slot of its own (the container's name): while a slot
is busy, what a new plan wants there waits for the next one. Stopping the pod ends whatever else is under way. The
worker can be cancelled at any await: the next one observes what is there and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.acting import Acting
from pylet.agent.kubelet.actions import Actions, compute, stop
from pylet.agent.kubelet.admitting import admit, others, own_node
from pylet.agent.kubelet.backoff import is_ahead
from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.observing import Observer
from pylet.agent.kubelet.probing import Probing
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.removing import release, remove
from pylet.agent.kubelet.resizing import Resizing
from pylet.agent.kubelet.slots import POD as POD_SLOT
from pylet.agent.kubelet.slots import RETRY, SANDBOX, SOON, Slots, slot_of
from pylet.agent.kubelet.spec import field_path, find_container, full_name
from pylet.agent.kubelet.standing import Standing
from pylet.agent.kubelet.status import Circumstances
from pylet.agent.kubelet.stopping import Ending
from pylet.agent.kubelet.tally import Tally
from pylet.agent.kubelet.telling import disrupted, report
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.agent.kubelet.waking import Waking
from pylet.agent.kubelet.workplace import Node
from pylet.api.errors import ApiError, Conflict, NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig, key_of, revision_of, uid_of
from pylet.api.podtemplate import TERMINAL, is_finished
from pylet.cri import interface as cri

log = logging.getLogger(__name__)

_RESIZE_RETRY = timedelta(minutes=3)
_LEAST_PATIENCE_SECONDS = 10.0
_LATE = "Container runtime did not kill the pod within specified grace period."


class Worker:
    """`run` ends when the pod is gone from the node."""

    def __init__(self, pod: Object, node: Node, *, is_new: bool = False) -> None:
        """`is_new`: it has come since the runtime was asked what there is, which has nothing of it."""
        self.node = node
        self.logs: Mapping[str, Path] = {}
        """Of the containers seen running last, by their ids."""
        self.stopped = asyncio.Event()
        """That it was to end, and that nothing of it runs any more."""
        self.released = asyncio.Event()
        """And that its volumes are not mounted any more."""
        self._late_at: datetime | None = None
        self._own_revision = 0
        self._news: list[Object] | None = None
        """What came while a report was on its way; None while none is."""
        self._standing = Standing(pod)
        self._waking = Waking(node.clock, lambda: POD_SLOT in self._slots.busy)
        self._slots = Slots(node.clock, self._waking.wake, lambda: str(key_of(self.pod)))
        self._tally = Tally(None if dig(pod, "status", "startTime") else node.clock.now())
        self._observer = Observer(node.runtime, uid_of(pod), is_new=is_new)
        self._probing = Probing(node.runtime, node.clock, self._tell, self._waking.wake)
        self._resizing = Resizing.of(pod, node.allocations, lambda *event: node.recorder.tell(self.pod, *event))
        self._acting = Acting(
            self._standing, node, self._slots, self._observer, self._probing, self._resizing, self._tell
        )

    @property
    def pod(self) -> Object:
        return self._standing.pod

    @property
    def is_resize_pending(self) -> bool:
        """Whether it waits for resources that others have."""
        return self._resizing.is_pending

    @property
    def probes_asked(self) -> list[tuple[str, str, str, int]]:
        """Container, probe, result and how often."""
        return self._probing.asked()

    @property
    def ids(self) -> set[str]:
        """Its sandboxes and containers, for events to find it."""
        return self._observer.ids

    @property
    def patience_seconds(self) -> float:
        """How long its end may take. Source: upstream `pod_workers.go` killPodNow."""
        return max(_LEAST_PATIENCE_SECONDS, self._standing.grace_seconds() * 1.5)

    # ---- what others tell it

    def update(self, pod: Object) -> None:
        """The API has a version of the pod. What this worker's own report made is not new, which is known when it is
        answered; one that the report has overtaken is part of what was answered, but has yet to be looked at."""
        if self._news is not None:
            self._news.append(pod)
        elif revision_of(pod) != self._own_revision:
            if revision_of(pod) > revision_of(self.pod):
                self._standing.pod = pod
            self.node.volumes.follow(self.pod)
            self._waking.wake()

    def vanish(self) -> None:
        """The API has the pod no more: stop it and leave nothing behind."""
        self._standing.is_gone = True
        self.node.volumes.freeze(uid_of(self.pod))
        self._waking.wake()

    def fail(self, ending: Ending) -> None:
        """The node wants the pod gone: it ends as Failed."""
        if self._standing.end(ending):
            self._late_at = self.node.clock.now() + timedelta(seconds=self.patience_seconds)
            self._waking.wake()

    def volumes_changed(self) -> None:
        """A volume that could not be mounted is worth another try."""
        self._slots.allow(SANDBOX)
        self._waking.wake()

    def poke(self, exited: str = "") -> None:
        """Something may have happened to its containers; `exited` is known to have ended, whatever its status says."""
        if exited:
            self._waking.exited(exited)
        else:
            self._waking.wake()

    # ---- the loop

    async def run(self) -> None:
        status = self.pod.get("status") or {}
        if status.get("phase") == "Failed" and status.get("reason"):
            self._standing.failure = status["reason"], status.get("message", "")
        elif not (self._standing.is_ending or status.get("phase") in TERMINAL or self.pod in self.node.allocations):
            await self._be_admitted()
        async with asyncio.TaskGroup() as group:
            try:
                what = "create"
                while not await self._timed(what, self._sync(group)):
                    await self._waking.until_next()
                    what = "kill" if self._standing.has_to_go else "sync"
            finally:
                self._probing.forget_all()
                self._slots.clear()

    async def _be_admitted(self) -> None:
        if (refused := await admit(self.pod, self.node)) is not None:
            reason, message = refused
            self.node.recorder.tell(self.pod, "Warning", reason, message)
            counters.REJECTIONS.add(reason)
            self._standing.failure = reason, f"Pod was rejected: {message}"

    async def _timed(self, what: str, turn: Coroutine[Any, Any, bool]) -> bool:
        begin = self.node.clock.monotonic()
        is_over = await turn
        counters.SYNCS.observe(self.node.clock.monotonic() - begin, what)
        return is_over

    async def _sync(self, group: asyncio.TaskGroup) -> bool:
        """One turn; whether the pod is done with on this node."""
        self._waking.begin()
        try:
            return await self._turn(group)
        except (cri.CriError, VolumeError) as failed:
            log.warning("pod %s: %s", key_of(self.pod), failed)
            self._waking.look_again(getattr(failed, "again_at", None) or self.node.clock.now() + SOON)
        except (ApiError, CannotProvide) as failed:
            log.warning("pod %s: %s", key_of(self.pod), failed)
            self._waking.look_again(self.node.clock.now() + RETRY)
        return False

    async def _turn(self, group: asyncio.TaskGroup) -> bool:
        """Observe, decide, act, report. What comes in while it waits is for the next one."""
        standing = self._standing
        pod, is_ending, busy = self._granted(), standing.is_ending, self._slots.busy
        observed = await self._observe(pod, group)
        plan = (
            stop(observed)
            if is_ending or standing.failure
            else compute(pod, observed, self._acting.backoff, self.node.clock.now())
        )
        self._back_off(plan, busy)
        overtaken = busy - self._slots.busy  # what ended meanwhile has woken this worker for another look
        for action in plan.actions:
            if slot_of(action) not in overtaken:
                self._waking.look_again(self._acting.begin(action, observed, group))
        self._waking.look_again(plan.again_at)
        has_to_go, is_at_rest = bool(is_ending or standing.failure), not (plan.actions or busy)
        is_stopping = has_to_go and POD_SLOT in self._slots.busy and not observed.running
        is_later = overtaken or is_stopping or self._is_told_later()
        is_reported = not is_later and await self._report(pod, observed, busy)
        if has_to_go and is_at_rest:
            self.stopped.set()
            self.node.allocations.forget(uid_of(self.pod))
        self._mind_lateness()
        if is_ending and is_reported and is_at_rest:
            await self._remove(observed)
            self.released.set()
            return True
        is_over = is_finished(self.pod) or (standing.failure is not None and is_at_rest)
        if is_over and not (observed.running or busy or self._slots.busy):
            await release(self.pod, self.node)
            self.released.set()
        return False

    def _mind_lateness(self) -> None:
        """Of a pod that the node ends."""
        if self._late_at is None or self.stopped.is_set():
            return
        if self.node.clock.now() < self._late_at:
            self._waking.look_again(self._late_at)
        else:
            self._late_at = None
            self.node.recorder.tell(self.pod, "Warning", "ExceededGracePeriod", _LATE)

    def _is_told_later(self) -> bool:
        """What has just begun is told a second later, with what came of it; that the pod has come, at once."""
        if not self._slots.busy or not dig(self.pod, "status", "startTime"):
            self._slots.quiet_until = None
            return False
        now = self.node.clock.now()
        until = self._slots.quiet_until or now + SOON  # on a busy node, what was begun has yet to run
        is_quiet = is_ahead(until, now, SOON)
        if is_quiet:
            self._waking.look_again(until)
        return is_quiet

    def _granted(self) -> Object:
        """The pod as it is to run here: with the resources it was granted, which a resize may have asked to change."""
        if self._standing.has_to_go or self.pod not in self.node.allocations:
            return self.pod
        pod = self._resizing.grant(
            self.pod, own_node(self.node), lambda: others(self.pod, self.node), self.node.provisions.policies
        )
        if self._resizing.is_pending:
            self._waking.look_again(self.node.clock.now() + _RESIZE_RETRY)
        return pod

    def _back_off(self, plan: Actions, busy: set[str]) -> None:
        for name, (reason, message) in (plan.waiting or {}).items():
            if name in busy:  # it is being tried now: the wait is for the next time
                continue
            if self._acting.waiting.get(name) != (reason, message):
                container = find_container(self.pod, name)
                if container is not None:
                    words = f"Back-off restarting failed container {name} in pod {full_name(self.pod)}"
                    self._tell(container, "Warning", "BackOff", words)
            self._acting.waiting[name] = reason, message

    async def _observe(self, pod: Object, group: asyncio.TaskGroup) -> Observed:
        observed = await self._acting.observe()
        directory = log_directory(self.pod, self.node.settings)
        self.logs = {c.id: directory / c.name / f"{c.restarts}.log" for c in observed.running}
        self._waking.await_exits({*self.logs, *([observed.sandbox.id] if observed.sandbox is not None else [])})
        self._resizing.follow(pod, observed)
        self._probing.follow(pod, observed, self._acting.ip(observed), group)
        return observed

    async def _remove(self, observed: Observed) -> None:
        """Leave nothing of the pod on the node, then let the API forget it."""
        await remove(self.pod, observed, self.node)
        if not self._standing.is_gone:
            try:
                await self.node.client.delete(POD, key_of(self.pod), uid=uid_of(self.pod), grace_seconds=0)
            except (NotFound, Conflict):
                return

    # ---- reporting

    async def _report(self, pod: Object, observed: Observed, busy: set[str]) -> bool:
        """Whether the API knows how things are; while it cannot be told, the pod is looked after all the same."""
        if self._standing.is_gone:
            return True
        passing = [*self._resizing.conditions, *disrupted(self._standing.disruption)]
        health = self.node.provisions.health(self.pod)
        ips, node = self.node.settings.host_ips, own_node(self.node)
        facts = Circumstances(ips, self._acting.waiting, self._standing.failure, passing, busy, health, node)
        self._tally.pulling_seconds = self._acting.pulling_seconds
        self._news = []
        try:
            answer = await report(self.pod, pod, observed, facts, self._tally, self.node)
        except ApiError as failed:
            log.warning("status of pod %s: %s", key_of(self.pod), failed.message)
            self._waking.look_again(self.node.clock.now() + RETRY)
            return False
        else:
            if answer is not None and revision_of(answer) > revision_of(self.pod):
                self._standing.pod, self._own_revision = answer, revision_of(answer)
            return True
        finally:
            news, self._news = self._news, None
            for version in news or ():
                self.update(version)

    def _tell(self, container: Object, type_: str, reason: str, message: str) -> None:
        self.node.recorder.tell(self.pod, type_, reason, message, field_path=field_path(self.pod, container))
