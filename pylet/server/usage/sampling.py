"""Asks the kubelets what is used, but only while somebody asks here; who does not ask costs nothing.

A rate needs two samples. Who asks after a silence waits for a second one, a moment after the first; from then on what
is older than the resolution is replaced by one new sample each, and the one before is what it is compared with. A node
that does not answer in time keeps what is known of it for a minute.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.object import condition_of
from pylet.client.view import Table
from pylet.server.usage.samples import Sample, read

log = logging.getLogger(__name__)

_RESOLUTION_SECONDS = 15.0
_SILENCE_SECONDS = 60.0
_FIRST_WINDOW_SECONDS = 1.5
_ANSWER_SECONDS = 10.0
_AT_A_TIME = 16

Read = Callable[[str, str], Awaitable[bytes]]
"""(node, path) → what its kubelet answers. Raises: ApiError."""
Pair = tuple[Sample, Sample]


class Sampling:
    def __init__(self, nodes: Table, ask: Read, clock: Clock) -> None:
        self._nodes = nodes
        self._ask = ask
        self._clock = clock
        self._pairs: dict[str, Pair] = {}
        self._heard_at: dict[str, float] = {}
        self._sampled_at = -_RESOLUTION_SECONDS
        self._turn = asyncio.Lock()

    async def pairs(self) -> dict[str, Pair]:
        """By node: the sample before the last and the last. Those who ask at the same time share one look."""
        async with self._turn:
            now = self._clock.monotonic()
            if now - self._sampled_at < _RESOLUTION_SECONDS:
                return self._pairs
            names = self._heard_from()
            known = {n for n in names & self._pairs.keys() if now - self._heard_at[n] <= _SILENCE_SECONDS}
            last = {name: self._pairs[name][1] for name in known}
            if not last:
                last = await self._look(names)
                await self._clock.sleep(_FIRST_WINDOW_SECONDS)
            found = await self._look(names)
            self._sampled_at = self._clock.monotonic()
            self._heard_at = {n: self._heard_at[n] for n in known} | dict.fromkeys(found, self._sampled_at)
            fresh = {name: (last.get(name, Sample()), sample) for name, sample in found.items()}
            self._pairs = {name: self._pairs[name] for name in known} | fresh
            return self._pairs

    def _heard_from(self) -> set[str]:
        """Nodes with a kubelet to ask; hollow ones serve nothing."""
        found = set()
        for entry in self._nodes.entries.values():
            ready = condition_of(entry.object, "Ready") or {}
            port = ((entry.object.get("status") or {}).get("daemonEndpoints") or {}).get("kubeletEndpoint")
            if port and ready.get("status") in ("True", "False"):
                found.add(entry.key.name)
        return found

    async def _look(self, names: set[str]) -> dict[str, Sample]:
        found: dict[str, Sample] = {}
        seats = asyncio.Semaphore(_AT_A_TIME)

        async def look(name: str) -> None:
            try:
                async with seats, asyncio.timeout(_ANSWER_SECONDS):
                    found[name] = read((await self._ask(name, "metrics/resource")).decode(errors="replace"))
            except (ApiError, TimeoutError, ValueError) as failed:
                log.warning("what node %s uses: %s", name, str(failed) or "no answer in time")

        async with asyncio.TaskGroup() as group:
            for name in names:
                group.create_task(look(name))
        return found
