"""What is under way in a pod: one thing at a time in each slot, and what failed there is not tried again at once."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from pylet.agent.kubelet.actions import (
    Action,
    Reset,
    ResizeContainer,
    ResizePod,
    StartContainer,
    StartSandbox,
    StopContainer,
    StopPod,
)
from pylet.agent.kubelet.backoff import is_ahead
from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.cri.interface import CriError

log = logging.getLogger(__name__)

SANDBOX, POD = "/sandbox", "/pod"
"""Slots that are no container's name; while the pod's is busy, so is every other."""
RETRY = timedelta(seconds=10)
SOON = timedelta(seconds=1)


@dataclass(slots=True)
class Slots:
    """`wake` is called whenever something has ended; `name` is whose they are, for the log."""

    clock: Clock
    wake: Callable[[], None]
    name: Callable[[], str]
    quiet_until: datetime | None = None
    """When what has just begun is to be told; None while nothing has."""
    _tasks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _not_before: dict[str, datetime] = field(default_factory=dict)

    @property
    def busy(self) -> set[str]:
        return set(self._tasks)

    def occupy(self, slot: str, work: Coroutine[Any, Any, None], group: asyncio.TaskGroup) -> datetime | None:
        """Begin, or say when it is worth another look: not before, where None."""
        until = self._not_before.get(slot)
        if slot in self._tasks or POD in self._tasks or (until and is_ahead(until, self.clock.now())):
            work.close()
            return until
        task = self._tasks[slot] = group.create_task(self._guard(slot, work))

        def done(ended: asyncio.Task[None]) -> None:
            if self._tasks.get(slot) is ended:
                del self._tasks[slot]
            if slot == SANDBOX:
                self.quiet_until = None  # what was to be told is told with what begins in it
            self.wake()

        task.add_done_callback(done)
        return None

    def put_off(self, slot: str, until: datetime) -> None:
        self._not_before[slot] = until

    def allow(self, slot: str) -> None:
        """It is worth another try."""
        self._not_before.pop(slot, None)

    async def ended(self, slot: str) -> None:
        """Wait for what is under way there."""
        if (task := self._tasks.get(slot)) is not None:
            await asyncio.wait([task])

    def others(self) -> list[asyncio.Task[None]]:
        return list(self._tasks.values())

    def clear(self) -> list[asyncio.Task[None]]:
        """End all that is under way; what is still about to end. The slots are free."""
        ending = self.others()
        for task in ending:
            task.cancel()
        self._tasks.clear()
        return ending

    async def _guard(self, slot: str, work: Coroutine[Any, Any, None]) -> None:
        """What fails is logged once and tried again later."""
        self._not_before.pop(slot, None)
        self.quiet_until = self.quiet_until or self.clock.now() + SOON
        try:
            await work
        except* CriError as failed:
            log.warning("pod %s: %s", self.name(), failed.exceptions[0])
            self._not_before[slot] = self.clock.now() + SOON
        except* ApiError as failed:
            log.warning("pod %s: %s", self.name(), failed.exceptions[0])
            self._not_before[slot] = self.clock.now() + RETRY


def slot_of(action: Action) -> str:
    match action:
        case StartSandbox() | ResizePod():
            return SANDBOX
        case StartContainer(container, _) | ResizeContainer(_, container):
            return str(container["name"])
        case StopContainer(name=name):
            return name
        case StopPod() | Reset():
            return POD
