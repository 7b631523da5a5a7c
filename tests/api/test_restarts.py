"""Which containers run again after their end."""

from __future__ import annotations

import pytest

from pylet.api.object import Object
from pylet.api.restarts import all_could_restart, restarts

ON_42: Object = {
    "restartPolicy": "Never",
    "restartPolicyRules": [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}],
}


@pytest.mark.parametrize(
    ("policy", "container", "exit_code", "expected"),
    [
        ("Always", {}, 0, True),
        ("OnFailure", {}, 0, False),
        ("OnFailure", {}, 1, True),
        ("Never", {}, 1, False),
        ("Never", {"restartPolicy": "OnFailure"}, 1, True),
        ("Always", {"restartPolicy": "Never"}, 1, False),
        ("Always", ON_42, 42, True),
        ("Always", ON_42, 1, False),
    ],
)
def test_restarts(policy: str, container: Object, exit_code: int, expected: bool) -> None:
    assert restarts({"restartPolicy": policy}, container, exit_code) is expected


def test_one_container_may_restart_all() -> None:
    rule = {"action": "RestartAllContainers", "exitCodes": {"operator": "In", "values": [1]}}
    assert all_could_restart({"containers": [{}, {"restartPolicyRules": [rule]}]})
    assert not all_could_restart({"containers": [{}, ON_42]})
