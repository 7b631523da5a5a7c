"""What the Node tells of its container runtime."""

from __future__ import annotations

from pylet.agent.kubelet.node_status import abilities
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
