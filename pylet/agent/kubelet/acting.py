"""Carries out what a pod's plans say, each action in the slot it is about; what fails is told and put off.

Stopping the pod ends whatever else is under way. Nothing here decides what is to be done.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pylet.agent.kubelet import log_links, whole
from pylet.agent.kubelet.actions import (
    Action,
    Reset,
    ResizeContainer,
    ResizePod,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopPod,
    backoff_key,
    is_held_back,
)
from pylet.agent.kubelet.backoff import Backoff
from pylet.agent.kubelet.enforcing import enforce
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.observed import GROUP, Observed
from pylet.agent.kubelet.observing import Observer
from pylet.agent.kubelet.probing import Probing
from pylet.agent.kubelet.resizing import Resizing
from pylet.agent.kubelet.restart_all import to_reset
from pylet.agent.kubelet.slots import POD as POD_SLOT
from pylet.agent.kubelet.slots import RETRY, SANDBOX, SOON, Slots, slot_of
from pylet.agent.kubelet.spec import find_container, is_host_network
from pylet.agent.kubelet.standing import Standing
from pylet.agent.kubelet.starting import CannotRun, NoSandbox, PostStartFailed, Starter, Tell
from pylet.agent.kubelet.stopping import NotStopped, Stopper
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import Object, is_terminating
from pylet.cri import interface as cri


@dataclass(slots=True)
class Acting:
    """`tell` makes an Event about a container."""

    standing: Standing
    node: Node
    slots: Slots
    observer: Observer
    probing: Probing
    resizing: Resizing
    tell: Tell
    waiting: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Why containers do not run, by their names: reason and message."""
    backoff: Backoff = field(init=False)
    _stopping_grace: int = 0
    _unstopped: str = ""
    """Why the pod did not end, as told last."""
    _starter: Starter = field(init=False)
    _stopper: Stopper = field(init=False)

    def __post_init__(self) -> None:
        node = self.node
        self.backoff = Backoff(node.settings.longest_back_off)
        self._starter = Starter(node, self.tell, self.observer.ids)
        self._stopper = Stopper(node.runtime, node.clock, self.tell, node.ends)

    @property
    def pulling_seconds(self) -> float:
        return self._starter.pulling_seconds

    async def observe(self) -> Observed:
        """Raises: CriError."""
        return await self.observer.observe(self.probing.results(), self.resizing.enforced)

    def ip(self, observed: Observed) -> str:
        if is_host_network(self.standing.pod):
            return self.node.settings.host_ips[0]
        return observed.sandboxes[0].ips[0] if observed.sandboxes and observed.sandboxes[0].ips else ""

    def begin(self, action: Action, observed: Observed, group: asyncio.TaskGroup) -> datetime | None:
        """Unless something is under way in its slot, or failed there just now: returns when to look again."""
        work: Coroutine[Any, Any, None]
        slot, pod = slot_of(action), self.standing.pod
        match action:
            case StartSandbox(attempt):
                work = self._start_sandbox(attempt, observed)
            case StartContainer(container) if is_held_back(pod, container, self.slots.busy):
                return None  # what is under way wakes whoever asks, when it is done
            case StartContainer(container, restarts):
                work = self._start(container, restarts, observed)
            case StopContainer(id_, name, why, grace, begins_anew):
                if begins_anew:
                    self.observer.anew.add(id_)
                self.probing.ending(id_)
                seconds = self.standing.grace_seconds() if grace is None or is_terminating(pod) else grace
                work = self._stopper.stop(pod, self._target(id_, name, observed), name, why, seconds)
            case Reset():
                work = self._reset(self.slots.others(), observed)
            case ResizeContainer(id_, container):
                work = self._resize(slot, {id_: container})
            case ResizePod(running):
                work = self._resize(slot, running)
            case StopPod(reason, message):
                if reason and self.standing.failure is None:
                    self.standing.failure = reason, message
                    self.node.recorder.tell(pod, "Normal", reason, message)
                grace = self.standing.grace_seconds()
                if POD_SLOT in self.slots.busy and grace >= self._stopping_grace:
                    return None  # a deletion that leaves less time than a stop has, hastens it
                self._stopping_grace = grace
                self.slots.allow(POD_SLOT)
                work = self._end(self.slots.clear(), observed, grace)
        return self.slots.occupy(slot, work, group)

    # ---- starting

    async def _start_sandbox(self, attempt: int, observed: Observed) -> None:
        pod = self.node.allocations.allocated(self.standing.pod)
        try:
            await self._starter.start_sandbox(pod, attempt, observed)
            self.resizing.enforced[GROUP] = whole.resources(pod, is_running=True)
        except NoSandbox as failed:
            for message in failed.messages:
                reason = "FailedMapVolume" if message.startswith("MapVolume.") else failed.reason
                self.node.recorder.tell(pod, "Warning", reason, message)
            if failed.is_final:
                self.standing.failure = failed.reason, f"Pod was rejected: {failed}"
            self.slots.put_off(SANDBOX, failed.again_at or self.node.clock.now() + SOON)

    async def _start(self, container: Object, restarts: int, observed: Observed) -> None:
        name, now = container["name"], self.node.clock.now()
        await self.slots.ended(SANDBOX)  # a pod that is resized as a whole has room for it then
        last = observed.latest(name)
        if last is not None and last.is_finished:
            self.backoff.failed(backoff_key(container), last.finished_at or now, now)
        pod, ip = self.standing.pod, self.ip(observed)
        try:
            await self._starter.start(pod, container, restarts, observed, ip)
        except CannotRun as failed:
            self.waiting[name] = failed.reason, str(failed)
            if not failed.told:
                self.tell(container, "Warning", "Failed", f"Error: {failed}")
            self.slots.put_off(name, failed.again_at or self.node.clock.now() + RETRY)
            return
        except PostStartFailed as failed:
            self.waiting[name] = "PostStartHookError", str(failed)
            target = Target.of(failed.container_id, ip, container)
            await self._stopper.stop(pod, target, name, "FailedPostStartHook", self.standing.grace_seconds())
            return
        self.waiting.pop(name, None)

    # ---- changing

    async def _reset(self, others: list[asyncio.Task[None]], observed: Observed) -> None:
        """Remove every container once what is under way is done; their logs stay."""
        if others:
            await asyncio.wait(others)
            observed = await self.observe()
        for container in to_reset(self.standing.pod, observed):
            if not container.is_finished:
                self.probing.forget(container.id)
                target = self._target(container.id, container.name, observed)
                await self._stopper.stop(self.standing.pod, target, container.name, "killing", 0)
            await self.node.runtime.remove_container(container.id)
            log_links.unlink(self.standing.pod, container.name, container.id, self.node.settings)

    async def _resize(self, slot: str, running: Mapping[str, Object]) -> None:
        """Of a container, or of the whole pod."""
        pod = self.node.allocations.allocated(self.standing.pod)
        try:
            await enforce(pod, running, self.node)
        except (OSError, cri.CriError) as failed:
            self.resizing.failed(self.standing.pod, str(failed))
            self.node.recorder.tell(self.standing.pod, "Warning", "ResizeError", f"Pod resize error: {failed}")
            self.slots.put_off(slot, self.node.clock.now() + RETRY)
            return
        self.resizing.enforced |= {id_: container.get("resources") or {} for id_, container in running.items()}
        self.resizing.enforced[GROUP] = whole.resources(pod, is_running=True)
        if slot == SANDBOX:
            self.resizing.enforced[""] = pod["spec"].get("resources") or {}

    # ---- stopping

    async def _end(self, others: list[asyncio.Task[None]], observed: Observed, grace: int) -> None:
        if others:
            await asyncio.wait(others)
            observed = await self.observe()
        pod = self.standing.pod
        try:
            await self._stopper.stop_pod(pod, observed, self.ip(observed), grace)
        except NotStopped as failed:
            if str(failed) != self._unstopped:
                self.node.recorder.tell(pod, "Warning", "FailedKillPod", str(failed))
            self._unstopped = str(failed)
            raise

    def _target(self, id_: str, name: str, observed: Observed) -> Target:
        return Target.of(id_, self.ip(observed), find_container(self.standing.pod, name) or {})
