"""Schedules over days: every time fires once, through restarts, long runs and changes of the clocks."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import pytest

from pylet.api.kinds.cronjob import KIND as CRON_JOB
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.job import KIND as JOB
from pylet.api.object import Object
from pylet.client.view import Entry
from tests.sim import invariants
from tests.sim.cluster import FAILS, Cluster, running
from tests.sim.virtual import run


def cron_job(schedule: str, **spec: object) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "work:0"}]}
    template = {"spec": {"template": {"metadata": {"annotations": {FAILS: "0"}}, "spec": pod}}}
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": "tick", "namespace": "default"},
        "spec": {"schedule": schedule, "jobTemplate": template, **spec},
    }


class Started:
    """The minutes at which Jobs were made, by their names."""

    def __init__(self, cluster: Cluster) -> None:
        self.minutes: list[int] = []
        cluster.watch(JOB, self._note)

    def _note(self, before: Entry | None, after: Entry | None) -> None:
        if before is None and after is not None:
            self.minutes.append(int(after.key.name.rpartition("-")[2]))

    def times(self) -> list[str]:
        return [datetime.fromtimestamp(minute * 60, UTC).strftime("%m-%dT%H:%M") for minute in self.minutes]


@pytest.mark.parametrize("seed", range(3))
def test_every_time_fires_once_whatever_is_restarted(keys: Path, seed: int) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            started = Started(cluster)
            await cluster.apply(cron_job("*/5 * * * *"))
            for _ in range(60):
                await asyncio.sleep(cluster.random.uniform(0.0, 240.0))
                await cluster.restart()
            first, last = started.minutes[0], started.minutes[-1]
            assert started.minutes == list(range(first, last + 1, 5))
            assert len(cluster.view.select(JOB, "default")) <= 3 + 1
            await asyncio.sleep(400)
            invariants.no_orphans(cluster)

    run(scenario())


def test_a_zone_follows_its_clocks(keys: Path) -> None:
    """New York's clocks go forward on 8 March 2026: 02:30 does not exist then."""

    async def scenario() -> None:
        async with running(keys, nodes=0, start=datetime(2026, 3, 6, tzinfo=UTC)) as cluster:
            started = Started(cluster)
            await cluster.apply(cron_job("30 3 * * *", timeZone="America/New_York"))
            await asyncio.sleep(4 * 86400)
            assert started.times() == ["03-06T08:30", "03-07T08:30", "03-08T07:30", "03-09T07:30"]

    run(scenario())


@pytest.mark.parametrize(("policy", "jobs"), [("Allow", 4), ("Forbid", 1), ("Replace", 4)])
def test_what_happens_while_one_runs(keys: Path, policy: str, jobs: int) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:  # nothing ever ends
            started = Started(cluster)
            await cluster.apply(cron_job("* * * * *", concurrencyPolicy=policy))
            await asyncio.sleep(4 * 60)
            assert len(started.minutes) == jobs
            active = cluster.get(CRON_JOB, "tick")["status"]["active"]
            assert len(active) == {"Allow": 4, "Forbid": 1, "Replace": 1}[policy]

    run(scenario())


def test_a_fortnight_missed_is_one_job_and_one_warning(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            started = Started(cluster)
            await cluster.apply(cron_job("* * * * *", suspend=True))
            await asyncio.sleep(14 * 86400)
            await cluster.patch(CRON_JOB, "tick", {"spec": {"suspend": False, "concurrencyPolicy": "Forbid"}})
            await asyncio.sleep(30)
            assert len(started.minutes) == 1
            assert [e["reason"] for e in cluster.view.select(EVENT, "default")].count("TooManyMissedTimes") == 1

    run(scenario())
