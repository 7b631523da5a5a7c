"""When a table of nftables is written: all of it at the start and once something of it was lost, else what changed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, NoReturn, TypeVar

from pylet.agent import nft
from pylet.aio.clock import Clock

Owner = TypeVar("Owner", bound=Hashable)

log = logging.getLogger(__name__)

_GATHER_SECONDS = 0.002  # a roll-out changes many objects at once: they make one transaction


class TableKeeper(Generic[Owner]):
    """`dirty` are the owners whose elements may be others than those written."""

    def __init__(self, clock: Clock, *, retry_seconds: tuple[float, float]) -> None:
        self._clock = clock
        self._retry_seconds = retry_seconds
        self._lost = True
        self.dirty: set[Owner] = set()
        self.wake = asyncio.Event()
        self.written = asyncio.Event()
        """Set once the table says what it is to say."""

    def touch(self, owner: Owner) -> None:
        self.dirty.add(owner)
        self.wake.set()

    def lose(self) -> None:
        """All is to be written anew."""
        self._lost = True
        self.wake.set()

    async def run(
        self,
        table: nft.Table,
        write_all: Callable[[], Awaitable[None]],
        write_dirty: Callable[[], Awaitable[None]],
        failed: Callable[[], None] = lambda: None,
    ) -> NoReturn:
        """Either may call `lose`. `failed` is called when the kernel, or nft, refused a transaction."""

        def somebody_took_something() -> None:
            if not self._lost:
                log.warning("somebody changed nftables table %s: writing it anew", table.name)
                self.lose()

        delay = self._retry_seconds[0]
        with table.watch_losses(somebody_took_something):
            while True:
                try:
                    while self._lost:
                        self._lost = False
                        self.dirty.clear()
                        await write_all()
                    await write_dirty()
                    delay = self._retry_seconds[0]
                except (nft.NftError, OSError) as refused:
                    log.error("nftables table %s: %s; writing all anew in %.1f s", table.name, refused, delay)
                    self._lost = True
                    failed()
                    await self._clock.sleep(delay)
                    delay = min(delay * 2, self._retry_seconds[1])
                if self._lost:
                    continue
                if not self.wake.is_set():
                    self.written.set()
                await self.wake.wait()
                await self._clock.sleep(_GATHER_SECONDS)
                self.wake.clear()
