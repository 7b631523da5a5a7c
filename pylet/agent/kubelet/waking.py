"""When a pod's worker takes its next turn: at once when something has happened, or at the time it set itself.

A turn asks the runtime four times, so while the pod is stopped, which exits one after the other, turns are a second
apart: the end of the stop wakes the worker anyway.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pylet.agent.kubelet.slots import SOON
from pylet.aio.clock import Clock

_SETTLING = timedelta(milliseconds=10)


@dataclass(slots=True)
class Waking:
    """`is_stopping` tells whether the pod is being stopped."""

    clock: Clock
    is_stopping: Callable[[], bool]
    again_at: datetime | None = None
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _can_wait: bool = False
    _exits: dict[str, int] = field(default_factory=dict)

    def wake(self) -> None:
        self._can_wait = False
        self._woken.set()

    def exited(self, id_: str) -> None:
        """A sandbox or container is known to have ended, whatever its status says."""
        self._exits[id_] = 0
        if not self.is_stopping():
            self.wake()
        elif not self._woken.is_set():
            self._can_wait = True
            self._woken.set()

    def begin(self) -> None:
        """A turn begins: what happens from now on is for the next one."""
        self._woken.clear()
        self.again_at = None

    def look_again(self, moment: datetime | None) -> None:
        """Not later than then."""
        if moment is not None:
            self.again_at = moment if self.again_at is None else min(self.again_at, moment)

    def await_exits(self, alive: Collection[str]) -> None:
        """containerd tells of an exit some milliseconds before its own status knows: look again until it does."""
        self._exits = {id_: tries + 1 for id_, tries in self._exits.items() if id_ in alive}
        if self._exits:
            tries = min(self._exits.values())
            wait = SOON * 2 ** min(tries, 3) if self.is_stopping() else min(_SETTLING * 2 ** min(tries, 7), SOON)
            self.look_again(self.clock.now() + wait)

    async def until_next(self) -> None:
        while True:
            wait = None
            if self.again_at is not None:
                wait = max(0.0, (self.again_at - self.clock.now()).total_seconds())
            try:
                async with asyncio.timeout(wait):
                    await self._woken.wait()
            except TimeoutError:
                return
            if not self._can_wait:
                return
            self._can_wait = False
            self._woken.clear()
            self.look_again(self.clock.now() + SOON)
