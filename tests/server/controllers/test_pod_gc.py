"""Pods whose node is gone, or off."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.api.object import Key
from pylet.server.controllers import pod_gc
from pylet.server.reconcile.plan import Delete, Patch
from tests.server.controllers.picture import NOW, obj, pod, view


def test_an_orphaned_pod_goes_after_a_quarantine() -> None:
    plan, key, picture = pod_gc.controller().plan, Key("default", "p"), view(pod("p", generation=2))
    assert plan(key, picture, NOW).again_after == timedelta(seconds=40)
    marked, gone = plan(key, picture, NOW + timedelta(seconds=40)).actions
    assert isinstance(marked, Patch)
    assert marked.patch["status"]["phase"] == "Failed"
    condition = marked.patch["status"]["conditions"][-1]
    assert (condition["reason"], condition["observedGeneration"]) == ("DeletionByPodGC", 2)
    assert marked.patch["status"]["observedGeneration"] == 2
    assert isinstance(gone, Delete)


def test_a_node_that_is_missed_anew_is_waited_for_anew() -> None:
    plan, key, picture = pod_gc.controller().plan, Key("default", "p"), view(pod("p"))
    assert plan(key, picture, NOW).again_after == timedelta(seconds=40)
    assert plan(key, view(), NOW + timedelta(seconds=20)).actions == ()
    assert plan(key, picture, NOW + timedelta(seconds=60)).again_after == timedelta(seconds=40)


@pytest.mark.parametrize("ready", [True, False])
def test_a_node_out_of_service_loses_its_ending_pods(ready: bool) -> None:
    status = {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]}
    taints = [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]
    off = obj("v1", "Node", "n", namespace="", spec={"taints": taints}, status=status)
    ending = pod("p", deletionTimestamp="2026-01-01T11:59:00Z", deletionGracePeriodSeconds=30)
    plan = pod_gc.controller().plan(Key("default", "p"), view(off, ending), NOW)
    assert bool(plan.actions) is not ready
