"""When a node asks for its next certificate: in time, late, and with a clock that nobody has set."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from pylet.agent.join import Renewal
from pylet.aio.certificate import Pair
from pylet.aio.prometheus import Counter
from pylet.api.errors import Unauthorized
from pylet.server.authority import LEAF_LIFE
from pylet.server.issuing import new_ca, new_leaf
from tests.sim.virtual import SetClock, run

HOUR = 3600.0
LIFE = timedelta(hours=4)  # then the last hour is the time to renew
NOW = datetime(2027, 6, 1, tzinfo=UTC)


class Node:
    """Its certificate is signed by a server whose clock is `server_ahead` of its own."""

    def __init__(self, directory: Path, clock: SetClock, server_ahead: timedelta = timedelta()) -> None:
        self.pair = Pair(directory / "client.crt", directory / "client.key")
        self.clock = clock
        self.asked: list[float] = []
        self.refuses = 0
        self.errors = Counter("errors", "")
        self._ca = Pair(directory / "ca.crt", directory / "ca.key")
        self._ahead = server_ahead
        self._ca.write(*new_ca("ca", NOW))
        self._sign()

    async def ask(self) -> None:
        self.asked.append(self.clock.monotonic() / HOUR)
        if len(self.asked) <= self.refuses:
            raise Unauthorized
        self._sign()

    def _sign(self) -> None:
        now = self.clock.now() + self._ahead
        self.pair.write(
            *new_leaf(self._ca, "system:node:n", "system:nodes", now - LEAF_LIFE + LIFE, "client auth", start=now)
        )

    async def loaded(self) -> None:
        return

    async def live(self, hours: float) -> None:
        renewal = Renewal(self.pair, self.clock, self.ask, self.loaded, self.errors)
        living = asyncio.create_task(renewal.run())
        await asyncio.sleep(hours * HOUR)
        living.cancel()


def test_a_node_that_runs_on_renews_in_time(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(tmp_path, SetClock(NOW))
        await node.live(10)
        assert node.asked == pytest.approx([3, 6, 9], abs=0.01)

    run(scenario())


def test_one_that_was_off_for_years_asks_at_once_and_until_it_is_answered(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(tmp_path, SetClock(NOW))
        node.clock.set(3 * 365 * 24 * HOUR)
        node.refuses = 3
        await node.live(1)
        assert node.asked == pytest.approx([0, 30 / HOUR, 60 / HOUR, 90 / HOUR], abs=0.001)
        assert node.errors.value() == node.refuses

    run(scenario())


def test_a_clock_that_is_set_late_is_followed_within_seconds(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(tmp_path, SetClock(NOW))
        living = asyncio.create_task(node.live(2))
        await asyncio.sleep(HOUR)
        node.clock.set(400 * 24 * HOUR)
        await living
        assert node.asked == pytest.approx([1], abs=20 / HOUR)

    run(scenario())


def test_where_the_own_clock_is_never_set_it_asks_at_each_start_and_as_often_as_others(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(tmp_path, SetClock(datetime(1970, 1, 1, tzinfo=UTC)), timedelta(days=57 * 365))
        await node.live(7)
        assert node.asked == pytest.approx([0, 3, 6], abs=0.01)

    run(scenario())


def test_a_server_whose_clock_is_behind_is_not_asked_without_end(tmp_path: Path) -> None:
    async def scenario() -> None:
        node = Node(tmp_path, SetClock(NOW), -2 * LIFE)
        await node.live(4.5)
        assert node.asked == pytest.approx([0, 1, 2, 3, 4], abs=0.01)

    run(scenario())
