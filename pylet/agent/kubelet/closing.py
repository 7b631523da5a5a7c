"""A node whose machine goes down ends its pods first, phase by phase, and takes no others meanwhile."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pylet.agent.kubelet import counters, logind
from pylet.agent.kubelet.shutdown import Closed, Phase, by_phase
from pylet.agent.kubelet.workplace import Node
from pylet.aio import wholefile
from pylet.api.podtemplate import is_finished

log = logging.getLogger(__name__)

_RETRY_SECONDS = 1.0
_RECORD = "graceful_node_shutdown_state"


@dataclass(frozen=True, slots=True)
class Closing:
    """`run` until cancelled. `changed` is called when the node has become ready or not."""

    phases: Sequence[Phase]
    node: Node
    changed: Callable[[], None]

    async def run(self) -> None:
        self._recall()
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

    def _recall(self) -> None:
        """What a kubelet before this one did is told, too."""
        try:
            _count(Closed.of((self.node.settings.root / _RECORD).read_text()))
        except FileNotFoundError:
            return
        except (OSError, ValueError) as bad:
            log.warning("when this machine went down: %s", bad)

    async def _note(self, closed: Closed) -> None:
        _count(closed)
        path, text = self.node.settings.root / _RECORD, closed.to_text()
        try:
            await asyncio.to_thread(wholefile.write, path, text.encode(), 0o644, durable=True)
        except OSError as failed:
            log.warning("note when this machine goes down: %s", failed)

    async def _end_all(self) -> None:
        began = self.node.clock.now()
        await self._note(Closed(began))
        active = [pod for pod in self.node.pods() if not is_finished(pod)]
        for phase, pods in by_phase(self.phases, active):
            log.info("%d pods of priority %d and above have %d s to end", len(pods), phase.priority, phase.seconds)
            await self.node.end_all(pods, phase.ending, phase.seconds)
        await self._note(Closed(began, self.node.clock.now()))


def _count(closed: Closed) -> None:
    counters.CLOSING_BEGAN.set(int(closed.began.timestamp()))
    counters.CLOSING_ENDED.set(int(closed.ended.timestamp()) if closed.ended is not None else 0)
