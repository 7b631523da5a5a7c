"""A bounded number at a time; what was begun is finished before more is begun."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

PEAK = 4
"""As many as containerd makes, or removes, at its best rate: 10-11 pods a second on two cores."""


class Turns:
    """Who finishes goes before who begins, else in the order of asking.

    A hundred pods that come at once run one after the other like this; were all begun first, even half of them would
    run only when nearly all do.
    """

    def __init__(self, at_a_time: int) -> None:
        self._free = at_a_time
        self._finishing: deque[asyncio.Future[None]] = deque()
        self._beginning: deque[asyncio.Future[None]] = deque()

    def begin(self) -> AbstractAsyncContextManager[None]:
        return self._turn(self._beginning)

    def finish(self) -> AbstractAsyncContextManager[None]:
        return self._turn(self._finishing)

    @asynccontextmanager
    async def _turn(self, waiting: deque[asyncio.Future[None]]) -> AsyncIterator[None]:
        mine = asyncio.get_running_loop().create_future()
        waiting.append(mine)
        self._hand_out()
        try:
            await mine
            yield
        finally:
            if not mine.cancelled():
                self._free += 1
                self._hand_out()

    def _hand_out(self) -> None:
        for waiting in (self._finishing, self._beginning):
            while self._free and waiting:
                mine = waiting.popleft()
                if not mine.cancelled():
                    self._free -= 1
                    mine.set_result(None)
