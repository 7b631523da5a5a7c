"""A node whose machine goes down ends its pods first, phase by phase, and takes no others meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pylet.agent.kubelet import logind
from pylet.agent.kubelet.shutdown import Phase, by_phase
from pylet.agent.kubelet.workplace import Node
from pylet.api.object import dig

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_OVER = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class Closing:
    """`run` until cancelled. `changed` is called when the node has become ready or not."""

    phases: Sequence[Phase]
    node: Node
    changed: Callable[[], None]

    async def run(self) -> None:
        last = ""
        while True:
            try:
                await self._watch()
                last = ""
            except (logind.NoLogind, OSError) as failed:
                if str(failed) != last:
                    log.warning("this machine's shutdown cannot wait for pods: %s", failed)
                last = str(failed)
            await self.node.clock.sleep(_RETRY_SECONDS)

    async def _watch(self) -> None:
        await logind.allow(sum(phase.seconds for phase in self.phases))
        async with logind.shutdowns() as shutdowns:
            lock = await logind.lock()
            try:
                async for goes_down in shutdowns:
                    words = "shutdown event" if goes_down else "shutdown cancellation"
                    log.info("%s", words)
                    self.node.tell("Normal", "Shutdown", f"Shutdown manager detected {words}")
                    if goes_down:
                        self.node.closing.set()
                        self.changed()
                        await self._end_all()
                    else:
                        self.node.closing.clear()
                        self.changed()
                    await lock.release()
                    if not goes_down:
                        lock = await logind.lock()
            finally:
                await lock.release()

    async def _end_all(self) -> None:
        active = [pod for pod in self.node.pods() if dig(pod, "status", "phase") not in _OVER]
        for phase, pods in by_phase(self.phases, active):
            log.info("%d pods of priority %d and above have %d s to end", len(pods), phase.priority, phase.seconds)
            await self.node.end_all(pods, phase.ending, phase.seconds)
