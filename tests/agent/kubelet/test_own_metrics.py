"""What a kubelet counts and tells about itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from pylet.agent.kubelet import counters
from pylet.agent.kubelet.counted import counted
from pylet.agent.kubelet.counters import image_size
from pylet.agent.kubelet.own_metrics import Doing, kubelet_metrics
from pylet.agent.kubelet.stats import NodeUse
from pylet.agent.kubelet.tally import Tally
from pylet.agent.kubelet.usage import Usage
from pylet.agent.kubelet.volumes.usage import Usage as VolumeUsage
from pylet.cri.interface import CriError
from pylet.cri.memory import MemoryRuntime
from tests.agent.kubelet.builders import container, pod

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
NODE = NodeUse("n1", NOW, Usage(NOW), 2, 1 << 30, (0, 0, 0, 0), ())


@pytest.mark.parametrize(
    ("size", "expected"), [(0, "0-10MB"), (11 << 20, "10MB-100MB"), (2 << 30, "1GB-5GB"), (200 << 30, "GT100GB")]
)
def test_images_are_counted_by_how_large_they_are(size: int, expected: str) -> None:
    assert image_size(size) == expected


async def test_calls_of_the_runtime_are_counted_with_their_failures() -> None:
    runtime = counted(MemoryRuntime())
    before = counters.OPERATIONS.value("container_status"), counters.OPERATION_ERRORS.value("container_status")
    with pytest.raises(CriError):
        await runtime.container_status("nobody")
    after = counters.OPERATIONS.value("container_status"), counters.OPERATION_ERRORS.value("container_status")
    assert after == (before[0] + 1, before[1] + 1)


def test_a_start_is_told_once_and_an_end_each_time() -> None:
    of = pod(container(), meta={"creationTimestamp": "2026-01-02T03:04:05Z"})
    tally = Tally(NOW, pulling_seconds=2)
    running = {"containerStatuses": [{"name": "main", "state": {"running": {}}}]}
    over = {"containerStatuses": [{"name": "main", "state": {"terminated": {"exitCode": 7, "reason": "Error"}}}]}
    begin, ends = sum(counters.TOTAL_STARTS.counts()), counters.TERMINATED.value("container", "7", "Error")
    for old, new in ((None, running), (running, running), (running, over), (over, over), (running, over)):
        tally.report(of, old or {}, new, NOW + timedelta(seconds=5))
    assert sum(counters.TOTAL_STARTS.counts()) == begin + 1
    assert counters.TERMINATED.value("container", "7", "Error") == ends + 2


def test_what_a_kubelet_has_to_do() -> None:
    resizing = {**pod(container()), "status": {"conditions": [{"type": "PodResizePending", "reason": "Deferred"}]}}
    static = pod(container(), meta={"annotations": {"kubernetes.io/config.source": "file"}})
    doing = Doing(
        [resizing, static],
        2,
        1,
        claims={("default", "data"): VolumeUsage(10, 4, 6, 5, 3, 2)},
        lifetimes={"client": 60.7},
        own_cpus={0: 2},
        shared_cpus=1,
        volumes={("kubernetes.io/csi:csi.example", "actual_state_of_world"): 3},
        requests={("GET", "metrics", "readwrite", "false"): 1},
    )
    lines = set(kubelet_metrics(NODE, doing).splitlines())
    assert {
        'kubelet_desired_pods{static="true"} 1',
        'kubelet_pod_pending_resizes{reason="deferred"} 1',
        "kubelet_certificate_manager_client_ttl_seconds 60",
        'kubelet_volume_stats_available_bytes{namespace="default",persistentvolumeclaim="data"} 4',
        "kubelet_cpu_manager_exclusive_cpu_allocation_count 2",
        "kubelet_cpu_manager_shared_pool_size_millicores 1000",
        'volume_manager_total_volumes{plugin_name="kubernetes.io/csi:csi.example",state="actual_state_of_world"} 3',
        'kubelet_http_inflight_requests{long_running="false",method="GET",path="metrics",server_type="readwrite"} 1',
        'kubelet_cpu_manager_allocation_per_numa{numa_node="0"} 2',
    } <= lines
    assert "cpu_manager_exclusive" not in kubelet_metrics(NODE, replace(doing, own_cpus=None))
