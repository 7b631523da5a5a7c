"""The configuration that is in effect."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.agent.kubelet.config_values import BadConfig
from pylet.agent.kubelet.configz import effective
from pylet.agent.kubelet.kubelet_config import from_object

FLAGS = {"address": "0.0.0.0", "clusterDNS": ["10.43.0.10"], "podLogsDir": "/var/log/pods", "port": 10250}


def shown(said: dict[str, Any]) -> dict[str, Any]:
    return effective("cgroupfs", FLAGS, from_object(said, FLAGS).said)


def test_nobody_says_anything() -> None:
    found = shown({})
    assert (found["maxPods"], found["port"], found["clusterDNS"]) == (110, 10250, ["10.43.0.10"])
    assert found["evictionHard"]["memory.available"] == "100Mi"
    assert found["cgroupDriver"] == "cgroupfs"


def test_a_file_says_some_of_it() -> None:
    said = {
        "maxPods": 20,
        "cpuManagerPolicy": "static",
        "reservedSystemCPUs": "0",
        "imageMinimumGCAge": "90s",
        "evictionHard": {"memory.available": "1Gi"},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "60s"},
    }
    found = shown(said)
    assert (found["maxPods"], found["cpuManagerPolicy"], found["imageMinimumGCAge"]) == (20, "static", "1m30s")
    assert found["evictionHard"] == {"memory.available": "1Gi"}
    assert found["crashLoopBackOff"] == {"maxContainerRestartPeriod": "1m0s"}
    assert shown({**said, "mergeDefaultEvictionSettings": True})["evictionHard"]["nodefs.available"] == "10%"


def test_a_file_that_says_nothing_of_a_field_leaves_it_but_may_give_up_eviction() -> None:
    found = shown({"evictionHard": {}, "clusterDNS": []})
    assert (found["evictionHard"], found["clusterDNS"]) == ({}, ["10.43.0.10"])


def test_what_is_shown_may_be_said_by_a_file() -> None:
    found = shown({"maxPods": 20})
    assert shown(found) == found


def test_numbers_that_a_program_left_at_zero_say_nothing() -> None:
    assert shown({"iptablesDropBit": 0, "logging": {"flushFrequency": 0}})["port"] == 10250


@pytest.mark.parametrize(("name", "value"), [("port", 10251), ("clusterDNS", ["10.43.0.11"]), ("runOnce", True)])
def test_a_file_that_says_other_than_the_flags_is_refused(name: str, value: Any) -> None:
    with pytest.raises(BadConfig, match=name):
        shown({name: value})
