"""What makes no sense: refused where that can be seen, and else told and left alone. Nothing spins or piles up."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pylet.api import timestamps
from pylet.api.errors import ApiError
from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.cronjob import KIND as CRON_JOB
from pylet.api.kinds.daemonset import KIND as DAEMON_SET
from pylet.api.kinds.event import KIND as EVENT
from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.lease import KIND as LEASE
from pylet.api.kinds.replicaset import KIND as REPLICA_SET
from pylet.api.object import Key, Object, condition_of
from tests.sim.cluster import FAILS, Cluster, running
from tests.sim.virtual import run

LABELS = {"app": "web"}
HUGE = 2**31 - 1


def workload(kind: str, **spec: Any) -> Object:
    pod: Object = {"containers": [{"name": "c", "image": "web:0"}]}
    template = {"metadata": {"labels": LABELS}, "spec": pod | spec.pop("pod", {})}
    whole = {"template": template} if kind == "Job" else {"selector": {"matchLabels": LABELS}, "template": template}
    return {
        "apiVersion": "batch/v1" if kind == "Job" else "apps/v1",
        "kind": kind,
        "metadata": {"name": "web", "namespace": "default"},
        "spec": whole | spec,
    }


async def allow_three_pods(cluster: Cluster) -> None:
    meta = {"name": "few", "namespace": "default"}
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "3"}}}
    await cluster.apply(quota)
    await asyncio.sleep(1)


async def assert_quiet(cluster: Cluster) -> None:
    """For an hour nothing is written, but for leases and Events, and next to nothing is even looked at."""
    written: list[str] = []
    for kind in cluster.tables:
        if kind not in (LEASE, EVENT):
            cluster.watch(kind, lambda before, after, kind=kind: written.append(kind.plural))  # type: ignore[misc]
    before = cluster.reconciles()
    await asyncio.sleep(3600)
    assert written == []
    assert cluster.reconciles() - before <= 50


OUT_OF_REACH = {"matchLabels": LABELS, "matchExpressions": [{"key": "app", "operator": "In", "values": []}]}
REFUSED = {
    "fewer than no replicas": (workload("Deployment", replicas=-1), "greater than or equal to 0"),
    "more replicas than there are numbers": (workload("Deployment", replicas=2**31), "of type int32"),
    "a selector that selects nothing": (workload("Deployment", selector=OUT_OF_REACH), "values"),
    "a selector that misses its own template": (
        workload("ReplicaSet", selector={"matchLabels": {"app": "other"}}),
        "`selector` does not match template `labels`",
    ),
    "a selector for everything": (workload("DaemonSet", selector={}), "empty selector is invalid for daemonset"),
    "fewer than no completions": (
        workload("Job", completions=-5, pod={"restartPolicy": "Never"}),
        "greater than or equal to 0",
    ),
    "more indexes than a Job may have": (
        workload("Job", parallelism=100_001, completions=1, completionMode="Indexed", pod={"restartPolicy": "Never"}),
        "must be less than or equal to 100000 when completion mode is Indexed",
    ),
}


def test_what_cannot_be_is_refused(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            for name, (obj, words) in REFUSED.items():
                with pytest.raises(ApiError, match=words) as refused:
                    await cluster.apply(obj)
                assert 400 <= refused.value.code < 500, name

    run(scenario())


@pytest.mark.parametrize("kind", ["Deployment", "ReplicaSet", "StatefulSet"])
def test_two_billion_replicas_stop_at_what_is_allowed(keys: Path, kind: str) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await allow_three_pods(cluster)
            await cluster.apply(workload(kind, replicas=HUGE))
            await asyncio.sleep(700)  # the progress deadline has had its say
            assert len(cluster.pods()) == 3
            if kind == "Deployment":
                (replica_set,) = cluster.view.select(REPLICA_SET, "default")
                failed = condition_of(replica_set, "ReplicaFailure")
                assert failed is not None
                assert "exceeded quota: few" in failed["message"]
            reasons = {event["reason"] for event in cluster.view.select(EVENT, "default")}
            assert "FailedCreate" in reasons
            await assert_quiet(cluster)

    run(scenario())


@pytest.mark.parametrize("mode", ["Indexed", "NonIndexed"])
def test_a_job_of_a_hundred_thousand_completions_costs_what_its_pods_cost(keys: Path, mode: str) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await allow_three_pods(cluster)
            many = {"completions": 100_000, "parallelism": 100_000, "completionMode": mode}
            job = workload("Job", **many, pod={"restartPolicy": "Never"})
            job["spec"]["template"]["metadata"]["annotations"] = {FAILS: "0"}
            await cluster.apply(job)
            await cluster.until(lambda: cluster.get(JOB, "web").get("status", {}).get("succeeded", 0) >= 3)
            assert len(cluster.pods()) <= 3 + cluster.get(JOB, "web")["status"]["succeeded"]
            assert cluster.reconciles() <= 1000
            assert "FailedCreate" in {event["reason"] for event in cluster.view.select(EVENT, "default")}

    run(scenario())


def test_a_daemon_set_no_node_accepts_has_nothing_to_do(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(workload("DaemonSet", pod={"nodeSelector": {"none": "such"}}))
            await asyncio.sleep(60)
            status = cluster.get(DAEMON_SET, "web")["status"]
            assert (status["desiredNumberScheduled"], status["observedGeneration"]) == (0, 1)
            await assert_quiet(cluster)
            assert cluster.pods() == []

    run(scenario())


def test_a_pod_for_no_node_is_told_why(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(workload("Deployment", replicas=3, pod={"nodeSelector": {"none": "such"}}))
            await asyncio.sleep(700)
            failed = condition_of(cluster.pods()[0], "PodScheduled")
            assert failed is not None
            assert "3 node(s) didn't match Pod's node affinity/selector" in failed["message"]
            await assert_quiet(cluster)

    run(scenario())


@pytest.mark.parametrize("propagation", ["Background", "Foreground"])
def test_owners_in_a_circle_are_not_looked_at_again_and_again(keys: Path, propagation: str) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            made = []
            for name in ("a", "b"):
                obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "default"}}
                made.append(await cluster.apply(obj))
            for own, other in (made, reversed(made)):
                reference = {"apiVersion": "v1", "kind": "ConfigMap", "blockOwnerDeletion": True}
                reference |= {name: other["metadata"][name] for name in ("name", "uid")}
                await cluster.patch(CONFIG_MAP, own["metadata"]["name"], {"metadata": {"ownerReferences": [reference]}})
            await assert_quiet(cluster)
            await cluster.client.delete(CONFIG_MAP, Key("default", "a"), propagation=propagation)
            await asyncio.sleep(60)
            assert {key.name for key in cluster.tables[CONFIG_MAP].in_namespace("default")} == {"kube-root-ca.crt"}
            await assert_quiet(cluster)

    run(scenario())


def test_a_schedule_for_every_moment_catches_up_on_a_year_at_once(keys: Path) -> None:
    """One for seconds is refused: the minute is its finest step."""

    async def scenario() -> None:
        async with running(keys, nodes=0) as cluster:
            template = workload("Job", pod={"restartPolicy": "Never"})["spec"]
            cron_job: Object = {
                "apiVersion": "batch/v1",
                "kind": "CronJob",
                "metadata": {"name": "tick", "namespace": "default"},
                "spec": {"schedule": "* * * * * *", "jobTemplate": {"spec": template}},
            }
            with pytest.raises(ApiError, match="expected exactly 5 fields, found 6"):
                await cluster.apply(cron_job)
            cron_job["spec"] |= {"schedule": "* * * * *", "concurrencyPolicy": "Forbid"}
            await cluster.apply(cron_job)
            await cluster.until(lambda: bool(cluster.view.select(JOB, "default")))
            before = cluster.reconciles()
            last = {"lastScheduleTime": timestamps.format_time(cluster.clock.now() - timedelta(days=365))}
            await cluster.client.patch(CRON_JOB, Key("default", "tick"), {"status": last}, subresource="status")
            await asyncio.sleep(30)
            assert len(cluster.view.select(JOB, "default")) == 1
            assert cluster.reconciles() - before <= 20

    run(scenario())
