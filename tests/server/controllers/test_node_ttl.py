"""How long kubelets may keep what they read."""

from __future__ import annotations

from pylet.api.object import Key, Object
from pylet.server.controllers import node_ttl
from pylet.server.reconcile.plan import Patch
from tests.server.controllers.picture import NOW, obj, view


def nodes(count: int) -> list[Object]:
    return [obj("v1", "Node", f"n{number}", namespace="", spec={}) for number in range(count)]


def test_the_larger_the_cluster_the_longer_kubelets_may_remember() -> None:
    plan = node_ttl.controller().plan
    found = []
    for count in (1, 100, 101, 95, 89, 501):
        (patch,) = plan(Key("", "n0"), view(*nodes(count)), NOW).actions
        assert isinstance(patch, Patch)
        found.append(patch.patch["metadata"]["annotations"]["node.alpha.kubernetes.io/ttl"])
    assert found == ["0", "0", "15", "15", "0", "30"]
