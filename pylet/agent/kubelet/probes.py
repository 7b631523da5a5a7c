"""Keeps asking a running container its probes, and says when an answer changes what is known.

Source: upstream `pkg/kubelet/prober/worker.go`: thresholds, the start-up probe before the others, a random first delay
left out (it only spreads load after a restart of many pods).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from pylet.agent.kubelet import handlers
from pylet.agent.kubelet.handlers import Target
from pylet.agent.kubelet.observed import UNPROBED, Probed
from pylet.aio.clock import Clock
from pylet.api.object import Object
from pylet.cri.interface import Runtime

_PROBES = {"startupProbe": "Startup", "livenessProbe": "Liveness", "readinessProbe": "Readiness"}
_FACT = {"startupProbe": "started", "livenessProbe": "live", "readinessProbe": "ready"}


def has_probes(container: Object) -> bool:
    return any(name in container for name in _PROBES)


class Prober:
    """The probes of one running container: `changed` hears when `result` did, `tell` an event's reason and message."""

    def __init__(
        self,
        container: Object,
        target: Target,
        runtime: Runtime,
        clock: Clock,
        changed: Callable[[], None],
        tell: Callable[[str, str], None],
        known: Probed = UNPROBED,
        started_at: datetime | None = None,
    ) -> None:
        self._container = container
        self._target = target
        self._runtime = runtime
        self._clock = clock
        self._changed = changed
        self._tell = tell
        self._started_at = started_at
        self._may_kill = True
        self.result = known
        self.asked: Counter[tuple[str, str]] = Counter()
        """How often, by probe and by what came of it, as `/metrics/probes` names both."""

    @property
    def container_name(self) -> str:
        return str(self._container["name"])

    def stop_killing(self) -> None:
        """The container is being stopped: from now on only its readiness is of interest."""
        self._may_kill = False

    async def run(self) -> None:
        if "startupProbe" in self._container and not self.result.started:
            await self._probe("startupProbe")
            if not self.result.started:
                return  # it failed for good: the container is about to be stopped
        async with asyncio.TaskGroup() as group:
            for name in ("livenessProbe", "readinessProbe"):
                if name in self._container:
                    group.create_task(self._probe(name))

    async def _probe(self, name: str) -> None:
        """Ask until the answer is final: a start-up probe's success, a liveness or start-up probe's failure."""
        probe = self._container[name]
        fact = _FACT[name]
        await self._clock.sleep(self._delay(probe))
        in_a_row, last = 0, None
        while self._matters(name):
            outcome = await handlers.run(
                probe, self._target, self._runtime, seconds=float(probe.get("timeoutSeconds") or 1)
            )
            if not self._matters(name):
                return
            self.asked[_PROBES[name], "unknown" if outcome.unknown else "successful" if outcome.ok else "failed"] += 1
            if outcome.unknown:  # the runtime is away: that says nothing of the container
                self._tell(
                    "Unhealthy", f"{_PROBES[name]} probe errored and resulted in unknown state: {outcome.message}"
                )
                await self._clock.sleep(probe.get("periodSeconds") or 10)
                continue
            in_a_row = in_a_row + 1 if outcome.ok == last else 1
            last = outcome.ok
            if not outcome.ok:
                self._tell("Unhealthy", f"{_PROBES[name]} probe failed: {outcome.message}")
            elif outcome.message:
                self._tell("ProbeWarning", f"{_PROBES[name]} probe warning: {outcome.message}")
            threshold = probe.get("successThreshold" if outcome.ok else "failureThreshold") or (1 if outcome.ok else 3)
            if in_a_row >= threshold:
                self._learn(fact, outcome.ok)
                if (name == "startupProbe") or (name == "livenessProbe" and not outcome.ok):
                    return
            await self._clock.sleep(probe.get("periodSeconds") or 10)

    def _matters(self, name: str) -> bool:
        return self._may_kill or name == "readinessProbe"

    def _delay(self, probe: Object) -> float:
        """How long the first question has to wait: the delay counts from the container's start."""
        delay = float(probe.get("initialDelaySeconds") or 0)
        if delay and self._started_at is not None:
            delay -= (self._clock.now() - self._started_at).total_seconds()
        return max(0.0, delay)

    def _learn(self, fact: str, value: bool) -> None:
        if getattr(self.result, fact) is not value:
            self.result = replace(self.result, **{fact: value})
            self._changed()
