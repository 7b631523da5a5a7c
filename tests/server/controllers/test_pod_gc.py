"""Pods whose node is gone, or off."""

from __future__ import annotations

from datetime import timedelta

import pytest

from pylet.api.kinds.node import KIND as NODE
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.controllers import pod_gc
from pylet.server.reconcile.plan import NOTHING, Count, Delete, Patch
from tests.server.controllers.picture import NOW, obj, pod, view


def test_an_orphaned_pod_goes_after_a_quarantine() -> None:
    plan, key, picture = pod_gc.controller().plan, Key("default", "p"), view(pod("p", generation=2))
    assert plan(key, picture, NOW).again_after == timedelta(seconds=40)
    marked, gone, counted = plan(key, picture, NOW + timedelta(seconds=40)).actions
    assert isinstance(marked, Patch)
    assert marked.patch["status"]["phase"] == "Failed"
    condition = marked.patch["status"]["conditions"][-1]
    assert (condition["reason"], condition["observedGeneration"]) == ("DeletionByPodGC", 2)
    assert marked.patch["status"]["observedGeneration"] == 2
    assert isinstance(gone, Delete)
    assert isinstance(counted, Count)
    assert counted.labels == ("default", "orphaned")


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


def test_a_pod_that_waits_for_others_alone_is_left_to_them() -> None:
    ended = pod("p", deletionTimestamp="2026-01-01T11:00:00Z", deletionGracePeriodSeconds=0, finalizers=["a.b/c"])
    assert pod_gc.controller().plan(Key("default", "p"), view(ended), NOW) == NOTHING


OFF = {"taints": [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}]}


@pytest.mark.parametrize(
    ("spec", "there", "concerned"),
    [({}, True, []), ({}, False, ["p"]), (OFF, True, ["p"])],
    ids=["one that is well", "one that is gone", "one that is off"],
)
def test_a_node_concerns_its_pods_when_it_goes(spec: Object, there: bool, concerned: list[str]) -> None:
    watch = next(watch for watch in pod_gc.controller().watches if watch.kind is NODE)
    node = obj("v1", "Node", "n", namespace="", spec=spec)
    found = watch.keys(
        Entry.of(NODE, node), view(pod("p"), pod("q", spec={"nodeName": "m"}), *([node] if there else []))
    )
    assert [key.name for key in found] == concerned
