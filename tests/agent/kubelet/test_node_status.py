"""What the Node tells of its container runtime."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.kubelet_config import DEFAULT
from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.node_status import (
    Identity,
    RuntimeFacts,
    abilities,
    gone_pages,
    has_rebooted,
    is_worth_reporting,
    news,
    registration,
    status,
)
from pylet.api import schema
from pylet.api.kinds.node import KIND as NODE
from pylet.cri.features import HandlerFeatures, RuntimeFeatures, RuntimeHandler


def test_huge_pages_that_the_machine_no_longer_has_are_taken_off_the_node(tmp_path: Path) -> None:
    machine = replace(read_machine(tmp_path), huge_pages={"hugepages-2Mi": 0})
    known = {"cpu": "2", "hugepages-2Mi": "4Mi", "hugepages-3Mi": "9Mi"}
    assert gone_pages({"status": {"capacity": known}}, machine) == {"hugepages-3Mi": None}
    assert gone_pages({}, machine) == {}


def test_a_runtime_that_tells_of_nothing_is_not_told_of() -> None:
    assert abilities((), RuntimeFeatures()) == {}


def test_what_each_handler_can_is_told() -> None:
    both = RuntimeHandler("runc", HandlerFeatures(recursive_read_only_mounts=True)), RuntimeHandler()
    assert abilities(both, RuntimeFeatures(supplemental_groups_policy=True)) == {
        "runtimeHandlers": [
            {"name": "", "features": {"recursiveReadOnlyMounts": False, "userNamespaces": False}},
            {"name": "runc", "features": {"recursiveReadOnlyMounts": True, "userNamespaces": False}},
        ],
        "features": {"supplementalGroupsPolicy": True},
    }


def test_a_node_registers_with_the_labels_and_taints_it_was_given(tmp_path: Path) -> None:
    given = Identity("n1", ("10.0.0.1",), 10250, ("zone=a", "bare="), ("gpu=yes:NoSchedule", "new:NoExecute"))
    node = registration(given, read_machine(tmp_path), DEFAULT)
    assert [(c["type"], c["status"]) for c in node["status"]["conditions"]] == [("Ready", "False")]
    assert node["metadata"]["labels"].items() >= {"kubernetes.io/hostname": "n1", "zone": "a", "bare": ""}.items()
    taints = [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}, {"key": "new", "effect": "NoExecute"}]
    assert node["spec"] == {"taints": taints}
    assert registration(Identity("n1", (), 0), read_machine(tmp_path), DEFAULT)["spec"] == {}


def test_what_others_say_of_a_node_is_not_worth_a_report() -> None:
    own = {"conditions": [{"type": "Ready", "lastHeartbeatTime": "then"}]}
    assert not is_worth_reporting({**own, "volumesAttached": [{"name": "v"}]}, own)
    assert is_worth_reporting({**own, "volumesInUse": ["v"]}, own)


@pytest.mark.parametrize("port", [0, 10250])
def test_what_the_api_made_of_a_report_is_not_worth_another(port: int, tmp_path: Path) -> None:
    def report(before: dict[str, Any]) -> dict[str, Any]:
        identity = Identity("n", ("192.0.2.1",), port)
        return status(identity, read_machine(tmp_path), (), RuntimeFacts("memory://1.0", ""), before, datetime.now(UTC))

    node = {"metadata": {"name": "n"}, "spec": {}, "status": deepcopy(report({}))}
    schema.default_kind(NODE, node)
    assert not is_worth_reporting(node["status"], report(node["status"]))


def told(pressures: set[str], problem: str, before: dict[str, Any], tmp_path: Path) -> dict[str, Any]:
    facts = RuntimeFacts("memory://1.0", problem)
    return status(Identity("n", ("192.0.2.1",), 1), read_machine(tmp_path), pressures, facts, before, datetime.now(UTC))


ENOUGH = ["NodeHasSufficientMemory", "NodeHasNoDiskPressure", "NodeHasSufficientPID"]


def test_events_tell_of_conditions_that_are_others_now(tmp_path: Path) -> None:
    starting = told(set(), "no network", {}, tmp_path)
    assert news({}, starting) == ENOUGH
    ready = told(set(), "", starting, tmp_path)
    assert news(starting, ready) == ["NodeReady"]
    short = told({"MemoryPressure", "PIDPressure", "DiskPressure"}, "down", ready, tmp_path)
    assert news(ready, short) == [
        "NodeHasInsufficientMemory", "NodeHasDiskPressure", "NodeHasInsufficientPID", "NodeNotReady"
    ]  # fmt: skip
    assert news(short, short) == []
    given_up = {"conditions": [{**condition, "status": "Unknown"} for condition in ready["conditions"]]}
    assert news(given_up, ready) == [*ENOUGH, "NodeReady"]


def test_a_machine_that_was_started_again_is_told_of(tmp_path: Path) -> None:
    now = told(set(), "", {}, tmp_path)
    assert not has_rebooted({}, now)
    assert not has_rebooted(now, now)
    assert has_rebooted({"nodeInfo": {"bootID": "another"}}, now)
