"""What a KubeletConfiguration may say, what it means for the Node, and what is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.agent.kubelet.kubelet_config import DEFAULT, BadConfig, from_object
from pylet.agent.kubelet.machine import Machine
from pylet.agent.kubelet.node_status import allocatable, capacity
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
        pytest.param({"healthzPort": 10248}, "healthzPort: pylet does not let it be set", id="a second port"),
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
        pytest.param({"imageMinimumGCAge": "soon"}, 'imageMinimumGCAge: invalid duration "soon"', id="no duration"),
        pytest.param({"imageGCHighThresholdPercent": 70}, "must be less than", id="low above high"),
        pytest.param({"evictionHard": {"cpu.available": "1"}}, "unsupported eviction signal", id="no such signal"),
        pytest.param({"evictionSoft": {"memory.available": "1Gi"}}, "grace period must be", id="soft without grace"),
        pytest.param({"kubeReserved": {"gpu": "1"}}, '"gpu" cannot be reserved', id="cannot be reserved"),
        pytest.param({"containerLogMaxFiles": 1}, "must be greater than 1", id="a log without room to rotate"),
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
            "serializeImagePulls": True,
            "crashLoopBackOff": {"maxContainerRestartPeriod": "30s"},
            "allowedUnsafeSysctls": ["net/core/somaxconn", "kernel.msg*"],
            "seccompDefault": True,
        }
    )
    assert (found.pods_per_core, found.pulls_at_once, found.seccomp_default) == (10, 1, True)
    assert found.longest_back_off == timedelta(seconds=30)
    assert found.unsafe_sysctls == ("net.core.somaxconn", "kernel.msg*")
