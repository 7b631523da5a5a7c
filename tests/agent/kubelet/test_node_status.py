"""What the Node tells of its container runtime."""

from __future__ import annotations

from pylet.agent.kubelet.node_status import abilities, is_worth_reporting
from pylet.cri.messages import HandlerFeatures, RuntimeFeatures, RuntimeHandler


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
