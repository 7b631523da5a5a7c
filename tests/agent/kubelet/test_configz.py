"""The configuration that is in effect."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.configz import effective, go_duration
from pylet.agent.kubelet.kubelet_config import from_object
from pylet.agent.kubelet.settings import Settings

SETTINGS = Settings(node_name="n1", host_ips=(), root=Path("/k"), cluster_dns="10.43.0.10")


def shown(said: dict[str, Any]) -> dict[str, Any]:
    return effective(SETTINGS, {"port": 10250}, from_object(said).said)


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


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0, "0s"), (0.1, "100ms"), (5, "5s"), (60, "1m0s"), (3600, "1h0m0s"), (90.5, "1m30.5s")]
)
def test_durations_are_as_go_writes_them(seconds: float, expected: str) -> None:
    assert go_duration(timedelta(seconds=seconds)) == expected
