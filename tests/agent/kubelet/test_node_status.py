"""What the Node tells of its container runtime."""

from __future__ import annotations

from copy import deepcopy
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pylet.agent.kubelet.machine import read_machine
from pylet.agent.kubelet.node_status import Identity, RuntimeFacts, abilities, is_worth_reporting, status
from pylet.api import schema
from pylet.api.kinds.node import KIND as NODE
from pylet.cri.features import HandlerFeatures, RuntimeFeatures, RuntimeHandler


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
