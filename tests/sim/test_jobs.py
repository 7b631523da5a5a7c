"""Jobs under restarts, dead nodes and deleted pods: every pod counted once, none left with its finalizer."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, annotations_of, condition_of, uid_of
from pylet.client.view import Entry
from tests.sim import invariants
from tests.sim.cluster import FAILS, Cluster, running
from tests.sim.invariants import Breach
from tests.sim.virtual import run

_INDEX = "batch.kubernetes.io/job-completion-index"


def job(*, fails: float = 0.0, **spec: object) -> Object:
    pod = {"restartPolicy": "Never", "containers": [{"name": "c", "image": "work:0"}]}
    template = {"metadata": {"annotations": {FAILS: str(fails)}}, "spec": pod}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {"template": template, **spec},
    }


def status(cluster: Cluster) -> Object:
    found: Object = cluster.get(JOB, "work").get("status", {})
    return found


def finished(cluster: Cluster, type_: str) -> bool:
    condition = condition_of(cluster.get(JOB, "work"), type_)
    return condition is not None and condition["status"] == "True"


class Ended:
    """Every pod that ever ended, and how; the Job's numbers never pass them and never fall."""

    def __init__(self, cluster: Cluster) -> None:
        self.phases: dict[str, str] = {}
        self._most: Counter[str] = Counter()
        cluster.watch(POD, self._note)
        cluster.watch(JOB, self._check)

    def count(self, phase: str) -> int:
        return list(self.phases.values()).count(phase)

    def _note(self, before: Entry | None, after: Entry | None) -> None:
        if after is not None and (phase := after.object["status"].get("phase")) in ("Succeeded", "Failed"):
            self.phases[uid_of(after.object)] = phase

    def _check(self, before: Entry | None, after: Entry | None) -> None:
        if after is None:
            return
        for name, phase in (("succeeded", "Succeeded"), ("failed", "Failed")):
            now = after.object.get("status", {}).get(name, 0)
            if now < self._most[name]:
                raise Breach(f"{name} fell from {self._most[name]} to {now}")
            if name == "succeeded" and now > self.count(phase):
                raise Breach(f"{now} {name}, but only {self.count(phase)} pods {name}")
            self._most[name] = now


def at_most(cluster: Cluster, parallelism: int) -> None:
    def check(before: Entry | None, after: Entry | None) -> None:
        active = invariants.count(cluster.pods())["active"]
        if active > parallelism:
            raise Breach(f"{active} pods at a time, {parallelism} are allowed")

    cluster.watch(POD, check)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("mode", ["NonIndexed", "Indexed"])
def test_every_pod_counts_once(keys: Path, seed: int, mode: str) -> None:
    async def scenario() -> None:
        async with running(keys, seed=seed) as cluster:
            invariants.one_owner(cluster)
            at_most(cluster, 4)
            ended = Ended(cluster)
            await cluster.apply(job(fails=0.1, completions=20, parallelism=4, backoffLimit=100, completionMode=mode))
            while not finished(cluster, "Complete"):
                await asyncio.sleep(cluster.random.uniform(0.0, 20.0))
                if cluster.random.random() < 0.4:
                    await cluster.restart()
                pods = [pod for pod in cluster.pods() if pod["status"]["phase"] == "Running"]
                if pods and cluster.random.random() < 0.2:
                    await cluster.client.delete(POD, Key("default", cluster.random.choice(pods)["metadata"]["name"]))
                assert cluster.clock.monotonic() < 50_000
            assert status(cluster)["succeeded"] == 20
            assert status(cluster).get("uncountedTerminatedPods", {}) == {}
            if mode == "Indexed":
                assert status(cluster)["completedIndexes"] == "0-19"
                indexes = {annotations_of(p)[_INDEX] for p in cluster.pods() if p["status"]["phase"] == "Succeeded"}
                assert indexes == {str(index) for index in range(20)}
            else:
                assert ended.count("Succeeded") == 20
            await asyncio.sleep(60)
            assert not any(pod["metadata"].get("finalizers") for pod in cluster.pods())
            await cluster.client.delete(JOB, Key("default", "work"), propagation="Background")
            await cluster.until(lambda: not cluster.pods())

    run(scenario())


def test_failures_beyond_the_limit_end_it_after_a_growing_wait(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(job(fails=1.0, backoffLimit=3))
            started = cluster.clock.monotonic()
            await cluster.until(lambda: finished(cluster, "Failed"), seconds=1000)
            assert status(cluster)["failed"] == 4
            assert condition_of(cluster.get(JOB, "work"), "Failed")["reason"] == "BackoffLimitExceeded"  # type: ignore[index]
            assert cluster.clock.monotonic() - started >= 10 + 20 + 40

    run(scenario())


def test_an_index_fails_alone(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            spec = {"completions": 3, "parallelism": 3, "completionMode": "Indexed", "backoffLimitPerIndex": 1}
            await cluster.apply(job(fails=1.0, **spec))
            await cluster.until(lambda: finished(cluster, "Failed"), seconds=1000)
            assert status(cluster)["failedIndexes"] == "0-2"
            assert status(cluster)["failed"] == 6, "each index was tried twice"
            assert not any(pod["metadata"].get("finalizers") for pod in cluster.pods())

    run(scenario())


def test_suspension_ends_the_pods_and_counts_none(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(job(completions=30, parallelism=3))
            await asyncio.sleep(40)
            await cluster.patch(JOB, "work", {"spec": {"suspend": True}})
            await cluster.until(lambda: not [pod for pod in cluster.pods() if pod["status"]["phase"] == "Running"])
            assert condition_of(cluster.get(JOB, "work"), "Suspended")["status"] == "True"  # type: ignore[index]
            assert "startTime" not in status(cluster)
            await asyncio.sleep(100)
            before = status(cluster).get("succeeded", 0)
            await cluster.patch(JOB, "work", {"spec": {"suspend": False}})
            await cluster.until(lambda: finished(cluster, "Complete"), seconds=3000)
            assert before < status(cluster)["succeeded"] == 30
            assert status(cluster).get("failed", 0) == 0

    run(scenario())


def test_a_deadline_ends_it(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            await cluster.apply(job(activeDeadlineSeconds=50, ttlSecondsAfterFinished=100))
            await asyncio.sleep(45)
            assert not finished(cluster, "FailureTarget")
            await cluster.until(lambda: finished(cluster, "Failed"), seconds=30)
            assert condition_of(cluster.get(JOB, "work"), "Failed")["reason"] == "DeadlineExceeded"  # type: ignore[index]
            await asyncio.sleep(110)
            assert not cluster.tables[JOB].entries

    run(scenario())


def test_pods_of_a_dead_node_are_replaced(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys, nodes=2) as cluster:
            await cluster.apply(job(completions=12, parallelism=6))
            await asyncio.sleep(2)
            await cluster.stop_node("node-0")
            await asyncio.sleep(120)
            await cluster.client.delete(NODE, Key("", "node-0"))
            await cluster.until(lambda: finished(cluster, "Complete"), seconds=3000)
            assert status(cluster)["succeeded"] == 12

    run(scenario())
