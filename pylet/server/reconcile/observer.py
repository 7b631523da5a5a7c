"""Reads what `Observations` are asked for: new paths at once, all every 15 seconds, nothing while nobody asks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pylet.aio.clock import Clock
from pylet.api.errors import ApiError
from pylet.api.object import Object
from pylet.server.reconcile.observations import Answer, Observations

Read: TypeAlias = Callable[[str], Awaitable[Object | None]]
"""GET of a path (with its query) that another server serves; None where none does. Raises: ApiError."""

_EVERY_SECONDS = 15.0


async def nobody(path: str) -> None:
    """Where no other server is known."""


class Observer:
    """`run` until cancelled. What it waits for while nobody asks costs nothing."""

    def __init__(self, read: Read, observations: Observations, clock: Clock) -> None:
        self._read = read
        self._observations = observations
        self._clock = clock
        self._came = asyncio.Event()
        observations.on_new = self._came.set

    async def run(self) -> None:
        while True:
            await self._came.wait()
            while paths := self._observations.wanted(self._clock.now()):
                self._came.clear()
                await asyncio.gather(*(self._look(path) for path in paths))
                due = self._clock.monotonic() + _EVERY_SECONDS
                while (left := due - self._clock.monotonic()) > 0:
                    await self._wait_for_new(left)
                    await asyncio.gather(*(self._look(path) for path in self._new()))
            self._came.clear()

    async def _wait_for_new(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._came.wait()

    def _new(self) -> Sequence[str]:
        self._came.clear()
        return self._observations.wanted(self._clock.now(), unread=True)

    async def _look(self, path: str) -> None:
        try:
            answer: Answer = await self._read(path) or _not_served(path)
        except ApiError as refused:
            answer = refused
        self._observations.put(path, answer)


def _not_served(path: str) -> ApiError:
    _, _, group, _, *names = path.partition("?")[0].split("/")
    resource = names[2] if names[:1] == ["namespaces"] and len(names) > 2 else names[0]
    return ApiError(f"the server could not find the requested resource (get {resource}.{group})")
