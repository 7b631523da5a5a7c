"""When watchers are told: after the tick, and many of them not too often."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, cast

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.client.view import Entry
from pylet.server.registry.answers import Batch
from pylet.server.registry.cache import Cache
from pylet.server.registry.selection import selection_of


class Loop:
    """What the cache asks of a loop; `run` does what is due by then."""

    def __init__(self) -> None:
        self.now = 0.0
        self._due: list[tuple[float, Callable[[], None]]] = []

    def time(self) -> float:
        return self.now

    def call_soon(self, done: Callable[[], None]) -> None:
        self.call_later(0, done)

    def call_later(self, delay: float, done: Callable[[], None]) -> None:
        self._due.append((self.now + delay, done))

    def run(self, until: float) -> None:
        self.now = until
        due, self._due = self._due, [later for later in self._due if later[0] > until]
        for at, done in due:
            if at <= until:
                done()


class Watched:
    """A cache, and how many changes came together to each of its watchers."""

    def __init__(self, watchers: int) -> None:
        self.loop = Loop()
        self.told: list[list[int]] = [[] for _ in range(watchers)]
        self._revision = 0
        self._cache = Cache(CONFIG_MAP, cast(asyncio.AbstractEventLoop, self.loop), lambda: self._revision)
        for told in self.told:
            selection = selection_of(CONFIG_MAP, "", "", "")
            self._cache.watch(selection, 0, bookmarks=False).follow(_counted(told))

    def write(self) -> None:
        self._revision += 1
        meta: dict[str, Any] = {"namespace": "default", "name": f"n{self._revision}"}
        entry = Entry.of(CONFIG_MAP, {"metadata": {**meta, "resourceVersion": str(self._revision)}})
        self._cache.apply(self._revision, entry.key, entry)


def _counted(told: list[int]) -> Callable[[Batch], None]:
    return lambda batch: told.append(len(batch.changes))


def test_a_few_watchers_are_told_at_each_tick() -> None:
    few = Watched(2)
    for _ in range(3):
        few.write()
        few.write()
        few.loop.run(until=0)
    assert few.told == [[2, 2, 2]] * 2


def test_many_watchers_are_told_of_a_burst_in_few_pieces() -> None:
    many = Watched(100)
    for millisecond in range(12):
        many.write()
        many.loop.run(until=millisecond / 1000)
    many.loop.run(until=1)
    assert many.told == [[1, 5, 5, 1]] * 100, "at once, then by 5 ms"
    many.loop.run(until=2)
    many.write()
    many.loop.run(until=2)
    assert many.told == [[1, 5, 5, 1, 1]] * 100, "at once after a pause"
