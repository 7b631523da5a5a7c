"""One pod's worker: observe, compute, act, report; woken by what changes, never by a tick.

What it does to different containers runs side by side, each in a slot of its own (the container's name): while a slot
is busy, what a new plan wants there waits for the next one. Stopping the pod ends whatever else is under way. The
worker can be cancelled at any await: the next one observes what is there and goes on.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from pylet.agent.kubelet import counters, log_links
from pylet.agent.kubelet.actions import (
    TERMINAL,
    Action,
    Actions,
    Reset,
    ResizeContainer,
    ResizePod,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopPod,
    backoff_key,
    compute,
    stop,
)
from pylet.agent.kubelet.admitting import admit, others, own_node
from pylet.agent.kubelet.backoff import Backoff, is_ahead
from pylet.agent.kubelet.config import log_directory
from pylet.agent.kubelet.enforcing import enforce
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.observed import Observed
from pylet.agent.kubelet.observing import Observer
from pylet.agent.kubelet.probing import Probing
from pylet.agent.kubelet.provided import CannotProvide
from pylet.agent.kubelet.removing import release, remove
from pylet.agent.kubelet.resizing import Resizing
from pylet.agent.kubelet.restart_all import to_reset
from pylet.agent.kubelet.slots import POD as POD_SLOT
from pylet.agent.kubelet.slots import RETRY, SANDBOX, SOON, Slots, slot_of
from pylet.agent.kubelet.spec import field_path, find_container, full_name, is_host_network
from pylet.agent.kubelet.starting import CannotRun, NoSandbox, PostStartFailed, Starter
from pylet.agent.kubelet.status import Circumstances
from pylet.agent.kubelet.stopping import Ending, Stopper, grace_seconds
from pylet.agent.kubelet.tally import Tally
from pylet.agent.kubelet.telling import disrupted, report
from pylet.agent.kubelet.volumes.interface import VolumeError
from pylet.agent.kubelet.waking import Waking
from pylet.agent.kubelet.workplace import Node
from pylet.api.errors import ApiError, Conflict, NotFound
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, dig, is_terminating, key_of, revision_of, uid_of
from pylet.cri import interface as cri

log = logging.getLogger(__name__)

_RESIZE_RETRY = timedelta(minutes=3)


@dataclass(slots=True)
class Worker:
    """`run` ends when the pod is gone from the node."""

    pod: Object
    node: Node
    is_new: bool = False
    """It has come since the runtime was asked what there is: that has nothing of it."""
    logs: Mapping[str, Path] = field(default_factory=dict)
    """Of the containers seen running last, by their ids."""
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    """That it was to end, and that nothing of it runs any more."""
    _backoff: Backoff = field(init=False)
    _waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    _stopping_grace: int = 0
    _failure: tuple[str, str] | None = None
    _disruption: str = ""
    _grace_limit: int | None = None
    _deleted: bool = False
    _own_revision: int = 0
    _news: list[Object] | None = None
    """What came while a report was on its way; None while none is."""
    _waking: Waking = field(init=False)
    _slots: Slots = field(init=False)
    _tally: Tally = field(init=False)
    _observer: Observer = field(init=False)
    _starter: Starter = field(init=False)
    _stopper: Stopper = field(init=False)
    _probing: Probing = field(init=False)
    _resizing: Resizing = field(init=False)

    def __post_init__(self) -> None:
        self._backoff = Backoff(self.node.settings.longest_back_off)
        node = self.node
        self._waking = Waking(node.clock, lambda: POD_SLOT in self._slots.busy)
        self._slots = Slots(node.clock, self._waking.wake, lambda: str(key_of(self.pod)))
        self._tally = Tally(None if dig(self.pod, "status", "startTime") else node.clock.now())
        self._observer = Observer(node.runtime, uid_of(self.pod), is_new=self.is_new)
        self._starter = Starter(node, self._tell)
        self._stopper = Stopper(node.runtime, node.clock, self._tell, node.ends)
        self._probing = Probing(node.runtime, node.clock, self._tell, self._waking.wake)
        self._resizing = Resizing.of(self.pod, node.allocations, lambda *event: node.recorder.tell(self.pod, *event))

    @property
    def _is_ending(self) -> bool:
        return self._deleted or is_terminating(self.pod)

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
        return self._starter.ids

    def grace_seconds(self) -> int:
        grace = grace_seconds(self.pod)
        return grace if self._grace_limit is None else min(grace, self._grace_limit)

    # ---- what others tell it

    def update(self, pod: Object) -> None:
        """The API has a version of the pod. What this worker's own report made is not new, which is known when it is
        answered; one that the report has overtaken is part of what was answered, but has yet to be looked at."""
        if self._news is not None:
            self._news.append(pod)
        elif revision_of(pod) != self._own_revision:
            if revision_of(pod) > revision_of(self.pod):
                self.pod = pod
            self.node.volumes.follow(self.pod)
            self._waking.wake()

    def vanish(self) -> None:
        """The API has the pod no more: stop it and leave nothing behind."""
        self._deleted = True
        self.node.volumes.freeze(uid_of(self.pod))
        self._waking.wake()

    def fail(self, ending: Ending) -> None:
        """The node wants the pod gone: it ends as Failed."""
        if self._failure is None:
            self._failure, self._grace_limit = (ending.reason, ending.message), ending.grace_seconds
            self._disruption = ending.disruption
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
            self._failure = status["reason"], status.get("message", "")
        elif not (self._is_ending or status.get("phase") in TERMINAL or self.pod in self.node.allocations):
            await self._be_admitted()
        async with asyncio.TaskGroup() as group:
            try:
                what = "create"
                while not await self._timed(what, self._sync(group)):
                    await self._waking.until_next()
                    what = "kill" if self._is_ending or self._failure else "sync"
            finally:
                self._probing.forget_all()
                self._slots.clear()

    async def _be_admitted(self) -> None:
        if (refused := await admit(self.pod, self.node)) is not None:
            reason, message = refused
            self.node.recorder.tell(self.pod, "Warning", reason, message)
            counters.REJECTIONS.add(reason)
            self._failure = reason, f"Pod was rejected: {message}"

    async def _timed(self, what: str, turn: Coroutine[Any, Any, bool]) -> bool:
        begin = self.node.clock.monotonic()
        is_over = await turn
        counters.SYNCS.observe(self.node.clock.monotonic() - begin, what)
        return is_over

    async def _sync(self, group: asyncio.TaskGroup) -> bool:
        """One turn; whether the pod is done with on this node."""
        self._waking.begin()
        try:
            # What comes in while this turn waits is for the next one.
            pod, is_ending = self._granted(), self._is_ending
            busy = self._slots.busy
            observed = await self._observe()
            self._resizing.follow(pod, observed)
            self._probing.follow(pod, observed, self._ip(observed), group)
            plan = (
                stop(observed)
                if is_ending or self._failure
                else compute(pod, observed, self._backoff, self.node.clock.now())
            )
            self._back_off(plan, busy)
            overtaken = busy - self._slots.busy  # what ended meanwhile has woken this worker for another look
            for action in plan.actions:
                if slot_of(action) not in overtaken:
                    self._launch(action, observed, group)
            self._waking.look_again(plan.again_at)
            has_to_go = bool(is_ending or self._failure)
            is_stopping = has_to_go and POD_SLOT in self._slots.busy and not observed.running
            is_later = overtaken or is_stopping or self._is_told_later()
            is_reported = not is_later and await self._report(pod, observed, is_busy=bool(busy))
            if has_to_go and not (plan.actions or busy):
                self.stopped.set()
                self.node.allocations.forget(uid_of(self.pod))
            if is_ending and is_reported and not plan.actions and not busy:
                await self._remove(observed)
                return True
            if (
                dig(self.pod, "status", "phase") in ("Succeeded", "Failed")
                and not observed.running
                and not (busy or self._slots.busy)
            ):
                await release(self.pod, self.node)
        except (cri.CriError, VolumeError) as failed:
            log.warning("pod %s: %s", key_of(self.pod), failed)
            self._waking.look_again(getattr(failed, "again_at", None) or self.node.clock.now() + SOON)
        except (ApiError, CannotProvide) as failed:
            log.warning("pod %s: %s", key_of(self.pod), failed)
            self._waking.look_again(self.node.clock.now() + RETRY)
        return False

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
        if self._is_ending or self._failure or self.pod not in self.node.allocations:
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
            if self._waiting.get(name) != (reason, message):
                container = find_container(self.pod, name)
                if container is not None:
                    words = f"Back-off restarting failed container {name} in pod {full_name(self.pod)}"
                    self._tell(container, "Warning", "BackOff", words)
            self._waiting[name] = reason, message

    # ---- observing

    async def _observe(self) -> Observed:
        known = set(self.ids)
        observed = await self._observer.observe(self._probing.results(), self._resizing.enforced)
        there = {container.id for group in observed.containers.values() for container in group}
        there.update(sandbox.id for sandbox in observed.sandboxes)
        self.ids.difference_update(known - there)  # not what was made meanwhile
        self.ids.update(there)
        directory = log_directory(self.pod, self.node.settings)
        self.logs = {c.id: directory / c.name / f"{c.restarts}.log" for c in observed.running}
        self._waking.await_exits({*self.logs, *([observed.sandbox.id] if observed.sandbox is not None else [])})
        return observed

    def _ip(self, observed: Observed) -> str:
        if is_host_network(self.pod):
            return self.node.settings.host_ips[0]
        return observed.sandboxes[0].ips[0] if observed.sandboxes and observed.sandboxes[0].ips else ""

    # ---- acting

    def _launch(self, action: Action, observed: Observed, group: asyncio.TaskGroup) -> None:
        match action:
            case StartSandbox(attempt):
                self._occupy(slot_of(action), self._start_sandbox(attempt, observed), group)
            case StartContainer(container, restarts):
                self._occupy(slot_of(action), self._start(container, restarts, observed), group)
            case StopContainer(id_, name, why, grace, begins_anew):
                target = self._target(id_, name, observed)
                if begins_anew:
                    self._observer.anew.add(id_)
                self._probing.ending(id_)
                seconds = self.grace_seconds() if grace is None or is_terminating(self.pod) else grace
                self._occupy(slot_of(action), self._stopper.stop(self.pod, target, name, why, seconds), group)
            case Reset():
                self._occupy(POD_SLOT, self._reset(self._slots.others(), observed), group)
            case ResizeContainer(id_, container):
                self._occupy(slot_of(action), self._resize(container["name"], {id_: container}), group)
            case ResizePod(running):
                self._occupy(slot_of(action), self._resize(slot_of(action), running), group)
            case StopPod(reason, message):
                if reason and self._failure is None:
                    self._failure = reason, message
                    self.node.recorder.tell(self.pod, "Normal", reason, message)
                self._stop_pod(observed, group)

    def _occupy(self, slot: str, work: Coroutine[Any, Any, None], group: asyncio.TaskGroup) -> None:
        self._waking.look_again(self._slots.occupy(slot, work, group))

    async def _start_sandbox(self, attempt: int, observed: Observed) -> None:
        try:
            await self._starter.start_sandbox(self.pod, attempt, observed)
        except NoSandbox as failed:
            for message in failed.messages:
                reason = "FailedMapVolume" if message.startswith("MapVolume.") else failed.reason
                self.node.recorder.tell(self.pod, "Warning", reason, message)
            if failed.is_final:
                self._failure = failed.reason, f"Pod was rejected: {failed}"
            self._slots.put_off(SANDBOX, failed.again_at or self.node.clock.now() + SOON)

    async def _start(self, container: Object, restarts: int, observed: Observed) -> None:
        name, now = container["name"], self.node.clock.now()
        await self._slots.ended(SANDBOX)  # a pod that is resized as a whole has room for it then
        last = observed.latest(name)
        if last is not None and last.is_finished:
            self._backoff.failed(backoff_key(container), last.finished_at or now, now)
        try:
            await self._starter.start(self.pod, container, restarts, observed, self._ip(observed))
        except CannotRun as failed:
            self._waiting[name] = failed.reason, str(failed)
            if not failed.told:
                self._tell(container, "Warning", "Failed", f"Error: {failed}")
            self._slots.put_off(name, failed.again_at or self.node.clock.now() + RETRY)
            return
        except PostStartFailed as failed:
            self._waiting[name] = "PostStartHookError", str(failed)
            target = Target.of(failed.container_id, self._ip(observed), container)
            await self._stopper.stop(self.pod, target, name, "FailedPostStartHook", self.grace_seconds())
            return
        self._waiting.pop(name, None)

    async def _reset(self, others: list[asyncio.Task[None]], observed: Observed) -> None:
        """Remove every container once what is under way is done; their logs stay."""
        if others:
            await asyncio.wait(others)
            observed = await self._observe()
        for container in to_reset(self.pod, observed):
            if not container.is_finished:
                self._probing.forget(container.id)
                target = self._target(container.id, container.name, observed)
                await self._stopper.stop(self.pod, target, container.name, "killing", 0)
            await self.node.runtime.remove_container(container.id)
            log_links.unlink(self.pod, container.name, container.id, self.node.settings)

    async def _resize(self, slot: str, running: Mapping[str, Object]) -> None:
        """Of a container, or of the whole pod."""
        pod = self.node.allocations.allocated(self.pod)
        try:
            await enforce(pod, running, self.node)
        except (OSError, cri.CriError) as failed:
            self._resizing.failed(self.pod, str(failed))
            self.node.recorder.tell(self.pod, "Warning", "ResizeError", f"Pod resize error: {failed}")
            self._slots.put_off(slot, self.node.clock.now() + RETRY)
            return
        self._resizing.enforced |= {id_: container.get("resources") or {} for id_, container in running.items()}
        if slot == SANDBOX:
            self._resizing.enforced[""] = pod["spec"].get("resources") or {}

    def _target(self, id_: str, name: str, observed: Observed) -> Target:
        return Target.of(id_, self._ip(observed), find_container(self.pod, name) or {})

    # ---- stopping

    def _stop_pod(self, observed: Observed, group: asyncio.TaskGroup) -> None:
        """End whatever is under way and stop the pod; a deletion that leaves less time than a stop has, hastens it."""
        grace = self.grace_seconds()
        if POD_SLOT in self._slots.busy and grace >= self._stopping_grace:
            return
        self._stopping_grace = grace
        self._slots.allow(POD_SLOT)
        self._occupy(POD_SLOT, self._end(self._slots.clear(), observed, grace), group)

    async def _end(self, others: list[asyncio.Task[None]], observed: Observed, grace: int) -> None:
        if others:
            await asyncio.wait(others)
            observed = await self._observe()
        await self._stopper.stop_pod(self.pod, observed, self._ip(observed), grace)

    async def _remove(self, observed: Observed) -> None:
        """Leave nothing of the pod on the node, then let the API forget it."""
        await remove(self.pod, observed, self.node)
        if not self._deleted:
            try:
                await self.node.client.delete(POD, key_of(self.pod), uid=uid_of(self.pod), grace_seconds=0)
            except (NotFound, Conflict):
                return

    # ---- reporting

    async def _report(self, pod: Object, observed: Observed, *, is_busy: bool = False) -> bool:
        """Whether the API knows how things are; while it cannot be told, the pod is looked after all the same."""
        if self._deleted:
            return True
        passing = [*self._resizing.conditions, *disrupted(self._disruption)]
        health = self.node.provisions.health(self.pod)
        ips, node = self.node.settings.host_ips, own_node(self.node)
        facts = Circumstances(ips, self._waiting, self._failure, passing, is_busy, health, node)
        self._tally.pulling_seconds = self._starter.pulling_seconds
        self._news = []
        try:
            answer = await report(self.pod, pod, observed, facts, self._tally, self.node)
        except ApiError as failed:
            log.warning("status of pod %s: %s", key_of(self.pod), failed.message)
            self._waking.look_again(self.node.clock.now() + RETRY)
            return False
        else:
            if answer is not None and revision_of(answer) > revision_of(self.pod):
                self.pod, self._own_revision = answer, revision_of(answer)
            return True
        finally:
            news, self._news = self._news, None
            for version in news or ():
                self.update(version)

    def _tell(self, container: Object, type_: str, reason: str, message: str) -> None:
        self.node.recorder.tell(self.pod, type_, reason, message, field_path=field_path(self.pod, container))
