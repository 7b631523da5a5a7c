"""What a KubeletConfiguration may say, what it means for the Node, and what is refused."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.eviction import ALLOCATABLE_MEMORY
from pylet.agent.kubelet.kubelet_config import DEFAULT, from_object
from pylet.agent.kubelet.logrotation import LogBounds
from pylet.agent.kubelet.machine import Machine
from pylet.agent.kubelet.node_allocatable import enforce
from pylet.agent.kubelet.node_status import Identity, allocatable, capacity, registration
from pylet.api.object import Object

MACHINE = Machine(4, 8 << 30, 100 << 30, "", "", "", "", "", "amd64", {})


def test_nothing_said_is_the_default() -> None:
    assert from_object({}) == DEFAULT
    assert allocatable(MACHINE, DEFAULT) == {
        "cpu": "4",
        "memory": f"{(8 << 20) - (100 << 10)}Ki",
        "ephemeral-storage": f"{90 << 20}Ki",
        "pods": "110",
    }


def test_what_is_reserved_is_not_for_pods() -> None:
    config = from_object(
        {
            "systemReserved": {"cpu": "500m", "memory": "1Gi"},
            "kubeReserved": {"cpu": "250m", "ephemeral-storage": "1Gi"},
            "evictionHard": {"memory.available": "1Gi"},
            "maxPods": 20,
        }
    )
    assert capacity(MACHINE, config)["cpu"] == "4"
    assert allocatable(MACHINE, config) == {
        "cpu": "3250m",
        "memory": f"{6 << 20}Ki",
        "ephemeral-storage": f"{99 << 20}Ki",
        "pods": "20",
    }


def test_own_hard_thresholds_replace_the_defaults_unless_merged() -> None:
    own: Object = {"evictionHard": {"memory.available": "5%"}}
    signals = [t.signal for t in from_object(own).eviction.thresholds]
    assert signals == ["memory.available", "allocatableMemory.available"]
    merged = from_object({**own, "mergeDefaultEvictionSettings": True}).eviction.thresholds
    assert len(merged) == len(DEFAULT.eviction.thresholds)


def test_durations_are_written_as_go_writes_them() -> None:
    found = from_object({"imageMinimumGCAge": "1h2m0.5s", "evictionPressureTransitionPeriod": "30s"})
    assert found.image_gc.minimum_age == timedelta(hours=1, minutes=2, seconds=0.5)
    assert found.eviction.transition == timedelta(seconds=30)


def test_a_file_says_how_groups_are_made_and_what_they_may_do() -> None:
    said = {"cgroupDriver": "systemd", "memorySwap": {"swapBehavior": "LimitedSwap"}, "singleProcessOOMKill": True}
    found = from_object(said)
    assert (found.cgroup_driver, found.may_swap, found.kills_one_process) == ("systemd", True, True)
    assert not from_object({"memorySwap": {"swapBehavior": "NoSwap"}}).may_swap


def test_a_file_may_say_what_is_so() -> None:
    assert from_object({"cgroupDriver": "cgroupfs", "readOnlyPort": 0, "failSwapOn": False}) == DEFAULT
    users = {"anonymous": {"enabled": False}, "webhook": {"enabled": True, "cacheTTL": "0s"}}
    assert from_object({"authentication": users, "authorization": {"mode": "Webhook"}, "healthzPort": 0}) == DEFAULT


def test_a_file_may_leave_things_alone_as_kubeadm_s_does() -> None:
    spans = ("syncFrequency", "imageMinimumGCAge", "evictionPressureTransitionPeriod", "cpuManagerReconcilePeriod")
    logging = {"flushFrequency": 0, "options": {"json": {"infoBufferSize": "0"}}, "verbosity": 0}
    found = from_object(
        {
            **dict.fromkeys((*spans, "imageMaximumGCAge", "shutdownGracePeriod"), "0s"),
            **{"containerRuntimeEndpoint": "", "staticPodPath": "", "clusterDNS": [], "memorySwap": {}},
            **{"crashLoopBackOff": {}, "logging": logging},
        }
    )
    assert found == DEFAULT
    assert not from_object({"evictionHard": {}}).eviction.thresholds


@pytest.mark.parametrize(
    ("said", "words"),
    [
        pytest.param({"evictionHrad": {}}, 'unknown field "evictionHrad"', id="a word nobody knows"),
        pytest.param({"clusterDNS": ["10.0.0.1"]}, "clusterDNS: pylet takes it from --cluster-dns", id="by a flag"),
        pytest.param({"readOnlyPort": 10255}, "readOnlyPort: .* it is 0", id="another value"),
        pytest.param({"syncFrequency": "1m"}, "syncFrequency: pylet does not let it be set", id="known, not followed"),
        pytest.param({"authentication": {"anonymous": {"enabled": True}}}, "authentication: ", id="let anybody in"),
        pytest.param({"authentication": {"webhook": {"enabled": False}}}, "authentication: ", id="let nobody be known"),
        pytest.param({"healthzPort": 70000}, "must be between 1 and 65535", id="a port beyond the last"),
        pytest.param({"healthzBindAddress": "localhost"}, "healthzBindAddress: 'localhost' does not", id="a name"),
        pytest.param({"enableServer": False}, "enableServer: .* it is True", id="nothing is served"),
        pytest.param({"maxParallelImagePulls": 0}, "must be a positive number", id="no pulls"),
        pytest.param({"serializeImagePulls": True, "maxParallelImagePulls": 2}, "larger than 1", id="one and two"),
        pytest.param({"crashLoopBackOff": {"maxContainerRestartPeriod": "6m"}}, "between 1s and 300s", id="too long"),
        pytest.param({"allowedUnsafeSysctls": ["vm.swappiness"]}, "is no sysctl", id="the machine's"),
        pytest.param({"userNamespaces": {"idsPerPod": 1}}, "must not be less than 65536", id="too few users"),
        pytest.param({"userNamespaces": {"idsPerPod": 65537}}, "must be a multiple of 65536", id="part of a unit"),
        pytest.param({"userNamespaces": {"idsPerPod": 1 << 32}}, "not be more than 4294967295", id="all users"),
        pytest.param({"kind": "Pod"}, "is no KubeletConfiguration", id="another kind"),
        pytest.param({"maxPods": "many"}, "maxPods: 'many' is not a whole number", id="no number"),
        pytest.param({"maxPods": -1}, "must not be a negative number", id="fewer than none"),
        pytest.param(
            {"imageMinimumGCAge": "soon"}, 'imageMinimumGCAge: time: invalid duration "soon"', id="no duration"
        ),
        pytest.param({"imageGCHighThresholdPercent": 70}, "must be less than", id="low above high"),
        pytest.param({"evictionHard": {"cpu.available": "1"}}, "unsupported eviction signal", id="no such signal"),
        pytest.param({"evictionSoft": {"memory.available": "1Gi"}}, "grace period must be", id="soft without grace"),
        pytest.param({"kubeReserved": {"gpu": "1"}}, '"gpu" cannot be reserved', id="cannot be reserved"),
        pytest.param({"cpuCFSQuotaPeriod": "2s"}, "must be between 1ms and 1s", id="a period too long"),
        pytest.param({"enforceNodeAllocatable": ["none", "pods"]}, "may not contain additional", id="nobody and pods"),
        pytest.param({"enforceNodeAllocatable": ["pods", "pods"]}, "has one twice", id="pods twice"),
        pytest.param({"enforceNodeAllocatable": ["all"]}, "'all' is none of pods", id="everybody"),
        pytest.param({"enforceNodeAllocatable": ["kube-reserved"]}, "kubeReservedCgroup must be", id="without a group"),
        pytest.param(
            {
                "enforceNodeAllocatable": ["system-reserved", "system-reserved-compressible"],
                "systemReservedCgroup": "/s",
            },
            "cannot be specified together",
            id="all and a part",
        ),
        pytest.param(
            {"reservedSystemCPUs": "0", "kubeReservedCgroup": "/k"}, "can't use reservedSystemCPUs", id="CPUs"
        ),
        pytest.param(
            {"enableSystemLogQuery": True, "enableSystemLogHandler": False}, "is required for", id="a query of nothing"
        ),
        pytest.param({"containerLogMaxFiles": 1}, "must be greater than 1", id="a log without room to rotate"),
        pytest.param({"containerLogMaxWorkers": 0}, "must be greater than or equal to 1", id="nobody to rotate logs"),
        pytest.param({"containerLogMonitorInterval": "2s"}, "than or equal to 3s", id="logs looked at too often"),
        pytest.param({"podsPerCore": -1}, "podsPerCore: -1 must not be a negative", id="fewer than none on a core"),
        pytest.param({"nodeStatusMaxImages": -2}, "must be -1 or greater", id="fewer images than all"),
        pytest.param({"imageMaximumGCAge": "2m"}, "must be greater than imageMinimumGCAge", id="too young"),
    ],
)
def test_what_is_refused(said: Object, words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        from_object(said)


def test_where_pods_run() -> None:
    found = from_object(
        {
            "cpuManagerPolicy": "static",
            "cpuManagerPolicyOptions": {"full-pcpus-only": "true"},
            "reservedSystemCPUs": "0,2-3",
            "kubeReserved": {"cpu": "500m", "memory": "1Gi"},
            "memoryManagerPolicy": "Static",
            "reservedMemory": [{"numaNode": 0, "limits": {"memory": "1Gi"}}],
            "topologyManagerPolicy": "restricted",
            "topologyManagerScope": "pod",
        }
    )
    assert found.placement is not None
    assert found.placement.cpu_options.full_cores_only
    assert found.placement.reserved_cpus == {0, 2, 3}
    assert found.placement.reserved_memory == {0: {"memory": 1 << 30}}
    assert [(name, str(amount)) for name, amount in found.reserved] == [("memory", "1Gi"), ("cpu", "3")]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"cpuManagerPolicy": "dynamic"}, 'cpuManagerPolicy: unknown policy: "dynamic"'),
        ({"cpuManagerPolicyOptions": {"align-by-socket": "true"}}, "Alpha-level Options not enabled"),
        ({"cpuManagerPolicyOptions": {"other": "true"}}, 'unknown CPU Manager Policy option: "other"'),
        ({"topologyManagerPolicyOptions": {"max-allowable-numa-nodes": "4"}}, "should not be less than 8"),
        ({"reservedSystemCPUs": "3-1"}, "invalid list of CPUs"),
        ({"reservedMemory": [{"numaNode": 1, "limits": {"memory": "0"}}]}, "may not be zero for NUMA node 1"),
    ],
)
def test_where_pods_cannot_run(fields: dict[str, object], words: str) -> None:
    with pytest.raises(BadConfig, match=words):
        from_object(fields)


def test_wherever_is_nothing_to_load() -> None:
    assert from_object({"cpuManagerPolicy": "none", "topologyManagerPolicy": "none"}).placement is None


def test_small_things() -> None:
    found = from_object(
        {
            "podsPerCore": 10,
            "containerLogMaxWorkers": 3,
            "containerLogMonitorInterval": "1m",
            "serializeImagePulls": True,
            "crashLoopBackOff": {"maxContainerRestartPeriod": "30s"},
            "allowedUnsafeSysctls": ["net/core/somaxconn", "kernel.msg*"],
            "seccompDefault": True,
        }
    )
    assert (found.pods_per_core, found.pulls_at_once, found.seccomp_default) == (10, 1, True)
    assert found.longest_back_off == timedelta(seconds=30)
    assert found.log_bounds == LogBounds(workers=3, look_seconds=60)
    assert found.unsafe_sysctls == ("net.core.somaxconn", "kernel.msg*")


def test_who_is_held_back_on_a_cpu_and_how_often_is_said_by_a_file() -> None:
    assert from_object({}).quota_period_micros == 100_000
    assert from_object({"cpuCFSQuotaPeriod": "20ms"}).quota_period_micros == 20_000
    assert from_object({"cpuCFSQuota": False, "cpuCFSQuotaPeriod": "20ms"}).quota_period_micros is None


RESERVED: Object = {
    "systemReserved": {"cpu": "500m", "memory": "1Gi"},
    "kubeReserved": {"cpu": "250m", "pid": "100"},
    "systemReservedCgroup": "/system.slice",
    "kubeReservedCgroup": "/kube.slice",
}


@pytest.mark.parametrize(
    ("ways", "pods", "v1", "v2"),
    [
        (["pods"], True, [], []),
        ([], False, [], []),
        (["none"], False, [], []),
        (
            ["pods", "system-reserved"],
            True,
            ["cpu/system.slice/cpu.shares=512", f"memory/system.slice/memory.limit_in_bytes={1 << 30}"],
            ["system.slice/cpu.weight=20", f"system.slice/memory.max={1 << 30}"],
        ),
        (
            ["kube-reserved", "system-reserved-compressible"],
            False,
            ["cpu/system.slice/cpu.shares=512", "cpu/kube.slice/cpu.shares=256", "pids/kube.slice/pids.max=100"],
            ["system.slice/cpu.weight=20", "kube.slice/cpu.weight=10", "kube.slice/pids.max=100"],
        ),
    ],
    ids=["pods alone", "nobody", "nobody by name", "pods and the system", "of the system its CPUs, all of Kubernetes'"],
)
def test_what_is_reserved_bounds_those_that_are_asked_for(
    ways: list[str], pods: bool, v1: list[str], v2: list[str], tmp_path: Path
) -> None:
    config = from_object({**RESERVED, "enforceNodeAllocatable": ways})
    assert config.bounds == (config.reserved if pods else ())
    assert any(t.signal == ALLOCATABLE_MEMORY for t in config.eviction.thresholds) == pods
    for is_v2, expected in ((False, v1), (True, v2)):
        for file, _ in (line.split("=") for line in expected):
            (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / file).touch()
        if is_v2:
            (tmp_path / "cgroup.controllers").touch()
        enforce(config.kept, tmp_path)
        assert [f"{file}={(tmp_path / file).read_text()}" for file, _ in (x.split("=") for x in expected)] == expected


def test_a_group_that_is_not_there_is_not_made_for_what_is_reserved(tmp_path: Path) -> None:
    kept = from_object({**RESERVED, "enforceNodeAllocatable": ["pods", "system-reserved"]}).kept
    with pytest.raises(FileNotFoundError):
        enforce(kept, tmp_path)


def test_a_file_names_the_node_at_its_provider() -> None:
    node = registration(Identity("n", (), 10250), MACHINE, from_object({"providerID": "cloud://7"}))
    assert node["spec"] == {"providerID": "cloud://7"}
    assert registration(Identity("n", (), 10250), MACHINE, DEFAULT)["spec"] == {}
