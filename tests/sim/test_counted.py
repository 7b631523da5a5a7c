"""What the scheduler and controllers tell monitoring, after what they did."""

from __future__ import annotations

from pathlib import Path

from pylet.api.kinds.job import KIND as JOB
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Object, condition_of, dig
from tests.sim.cluster import FAILS, Cluster, running
from tests.sim.virtual import run


def pod(name: str, cpu: str, **spec: object) -> Object:
    container = {"name": "c", "image": "app:1", "resources": {"requests": {"cpu": cpu}}}
    meta = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "spec": {"containers": [container], **spec}}


def told(cluster: Cluster) -> dict[str, float]:
    """Values by name and labels."""
    lines = [line for lines in cluster.counters for line in lines() if not line.startswith("#")]
    return {sample: float(value) for sample, _, value in (line.rpartition(" ") for line in lines)}


def test_what_becomes_of_pods_that_wait_for_a_node_is_told(keys: Path) -> None:
    async def scenario() -> None:
        async with running(keys) as cluster:
            await cluster.apply(pod("large", "6"))
            await cluster.apply(pod("gated", "1", schedulingGates=[{"name": "a/gate"}]))
            await cluster.until(lambda: condition_of(cluster.get(POD, "large"), "PodScheduled") is not None)
            found = told(cluster)
            assert found['scheduler_pending_pods{queue="unschedulable"}'] == 1
            assert found['scheduler_pending_pods{queue="gated"}'] == 1
            assert found['scheduler_unschedulable_pods{plugin="NodeResourcesFit",profile="default-scheduler"}'] == 1
            refused = 'scheduler_schedule_attempts_total{profile="default-scheduler",result="unschedulable"}'
            tries = found[refused]
            assert found["scheduler_preemption_attempts_total"] == tries
            await cluster.start_node("big", cpu="8")
            await cluster.until(lambda: "nodeName" in cluster.get(POD, "large")["spec"])
            found = told(cluster)
            assert found[refused] >= tries
            assert found['scheduler_schedule_attempts_total{profile="default-scheduler",result="scheduled"}'] == 1
            assert found["scheduler_pod_scheduling_attempts_count"] == 1
            assert found["scheduler_pod_scheduling_attempts_sum"] == found[refused] + 1
            assert found["scheduler_scheduling_algorithm_duration_seconds_count"] == found[refused] + 1
            bind = 'extension_point="Bind",profile="default-scheduler",status="Success"'
            assert found[f"scheduler_framework_extension_point_duration_seconds_count{{{bind}}}"] == 1
            moves = {name: value for name, value in found.items() if name.startswith("scheduler_queue_incoming")}
            arrivals = 'scheduler_queue_incoming_pods_total{event="UnschedulablePodAdd",queue='
            assert (moves[f'{arrivals}"active"}}'], moves[f'{arrivals}"unschedulable"}}']) == (1, 1)
            assert any('event="Node' in name for name in moves)
            assert found['scheduler_pending_pods{queue="unschedulable"}'] == 0
            assert not [name for name in found if name.startswith("scheduler_unschedulable_pods")]

    run(scenario())


def test_what_becomes_of_jobs_is_told(keys: Path) -> None:
    template = {
        "metadata": {"annotations": {FAILS: "0"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "work:0"}]},
    }
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "work", "namespace": "default"},
        "spec": {"template": template, "completionMode": "Indexed", "completions": 3, "parallelism": 2},
    }

    async def scenario() -> None:
        async with running(keys) as cluster:
            before = told(cluster)
            await cluster.apply(job)
            await cluster.until(lambda: dig(cluster.get(JOB, "work"), "status", "completionTime") is not None)
            after = told(cluster)

            def more(sample: str) -> float:
                return after.get(sample, 0) - before.get(sample, 0)

            ended = 'completion_mode="Indexed",result="succeeded"'
            assert more(f'job_controller_jobs_finished_total{{{ended},reason="CompletionsReached"}}') == 1
            assert more(f"job_controller_job_pods_finished_total{{{ended}}}") == 3
            indexes = 'job_controller_job_finished_indexes_total{status="succeeded",backoffLimit="global"}'
            assert more(indexes) == 3
            assert more('job_controller_job_pods_creation_total{reason="new",status="succeeded"}') == 3
            made = 'completion_mode="Indexed",result="success",action="pods_created"'
            assert more(f"job_controller_job_syncs_total{{{made}}}") >= 2
            assert more(f"job_controller_job_sync_duration_seconds_count{{{made}}}") >= 2

    run(scenario())
