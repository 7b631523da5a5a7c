"""Attaching CSI volumes to nodes, and what pods are told of it."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from pylet.api.csi import attachment_name
from pylet.api.kinds.volumeattachment import KIND
from pylet.api.object import Key, Object
from pylet.server.controllers.attach_detach import controller
from pylet.server.reconcile.plan import Controller, Create, Delete, Emit, Patch
from tests.server.controllers.picture import NOW, obj, pod, view

CSI = {"driver": "d.io", "volumeHandle": "h"}
DISK = obj("v1", "PersistentVolume", "disk", namespace="", spec={"csi": CSI})
CLAIM = obj("v1", "PersistentVolumeClaim", "data", spec={"volumeName": "disk"})
USING = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}
NAME = attachment_name("h", "d.io", "n")
ATTACHMENT = obj(
    "storage.k8s.io/v1",
    "VolumeAttachment",
    NAME,
    namespace="",
    spec={"attacher": "d.io", "nodeName": "n", "source": {"persistentVolumeName": "disk"}},
)


def node(**status: object) -> Object:
    return obj("v1", "Node", "n", namespace="", spec={}, status=status)


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        ([node(), pod("p", spec=USING)], [Create]),
        ([node(), pod("p", spec=USING), ATTACHMENT], []),
        ([node(), ATTACHMENT], [Delete]),
        ([node(volumesInUse=["kubernetes.io/csi/d.io^h"]), ATTACHMENT], []),
        ([ATTACHMENT], [Delete]),
        ([node(), {**ATTACHMENT, "metadata": {**ATTACHMENT["metadata"], "name": "a-users"}}], []),
        (
            [
                node(),
                pod("p", spec=USING),
                obj("storage.k8s.io/v1", "CSIDriver", "d.io", "", spec={"attachRequired": False}),
            ],
            [],
        ),
    ],
    ids=["attach", "attached", "detach", "in use", "node gone", "another's", "needs none"],
)
def test_a_volume_is_attached_while_pods_of_the_node_use_it(objects: list[Object], expected: list[type]) -> None:
    plan = controller().plan(Key("", "n"), view(DISK, CLAIM, *objects), NOW)
    assert [type(action) for action in plan.actions] == expected


@pytest.mark.parametrize(
    ("ready", "taints", "goes_after"),
    [
        ("False", [], timedelta(minutes=6)),
        ("Unknown", [], timedelta(minutes=6)),
        ("True", [], None),
        ("True", [{"key": "node.kubernetes.io/out-of-service", "effect": "NoExecute"}], timedelta()),
    ],
    ids=["not ready", "silent", "well, but slow to unmount", "out of service, whatever it says"],
)
def test_what_stays_in_use_is_detached_from_nodes_that_are_not_well(
    ready: str, taints: list[Object], goes_after: timedelta | None
) -> None:
    holder = node(volumesInUse=["kubernetes.io/csi/d.io^h"], conditions=[{"type": "Ready", "status": ready}])
    holder["spec"]["taints"] = taints
    plan, stuck = controller().plan, view(DISK, CLAIM, holder, ATTACHMENT)
    first, later = (plan(Key("", "n"), stuck, NOW + wait) for wait in (timedelta(), timedelta(minutes=6)))
    assert bool(first.actions) == (goes_after == timedelta())
    assert bool(later.actions) == (goes_after is not None)
    assert first.again_after == (goes_after or None)


def test_a_volume_may_go_before_its_attachment() -> None:
    users = {**ATTACHMENT, "metadata": {**ATTACHMENT["metadata"], "name": "a-users"}}
    (gone,) = controller().plan(Key("", "n"), view(node(), ATTACHMENT, users), NOW).actions
    assert isinstance(gone, Delete)
    assert gone.key.name == NAME


def test_what_needs_no_attaching_any_more_is_detached_when_the_node_has_had_time_to_mount_it() -> None:
    plan, driver = controller().plan, obj("storage.k8s.io/v1", "CSIDriver", "d.io", "", spec={"attachRequired": False})
    user = pod("p", spec={**USING, "nodeName": "n"})
    changed = view(DISK, CLAIM, driver, node(volumesInUse=["kubernetes.io/csi/d.io^h"]), user, ATTACHMENT)
    assert plan(Key("", "n"), changed, NOW).again_after == timedelta(minutes=1)
    (gone,) = plan(Key("", "n"), changed, NOW + timedelta(minutes=1)).actions
    assert isinstance(gone, Delete)


P = pod("p", spec={**USING, "nodeName": "n"})


def attachment(to: str = "n", **status: object) -> Object:
    spec = {**ATTACHMENT["spec"], "nodeName": to}
    meta = {**ATTACHMENT["metadata"], "name": attachment_name("h", "d.io", to)}
    return {**ATTACHMENT, "metadata": meta, "spec": spec, "status": status}


def said(of: Controller, now: datetime, *objects: Object) -> list[tuple[str, str]]:
    actions = of.plan(Key("", "n"), view(CLAIM, node(), *objects), now).actions
    return [(action.reason, action.message) for action in actions if isinstance(action, Emit)]


def test_a_pod_is_told_once_when_its_volume_is_attached() -> None:
    of, done = controller(), ("SuccessfulAttachVolume", 'AttachVolume.Attach succeeded for volume "disk" ')
    assert said(of, NOW, DISK, P) == []
    assert said(of, NOW, DISK, P, attachment()) == []
    assert said(of, NOW, DISK, P, attachment(attached=True)) == [done]
    assert said(of, NOW, DISK, P, attachment(attached=True)) == []
    assert said(controller(), NOW, DISK, P, attachment(attached=True)) == []


def test_a_pod_is_told_why_its_volume_is_not_attached() -> None:
    of, failed = controller(), 'AttachVolume.Attach failed for volume "disk" : '
    first = {"message": "no disk", "time": "2026-01-01T12:00:00Z"}
    assert said(of, NOW, DISK, P, attachment(attachError=first)) == [("FailedAttachVolume", failed + "no disk")]
    assert said(of, NOW, DISK, P, attachment(attachError=first)) == []
    again = {**first, "time": "2026-01-01T12:01:00Z"}
    assert said(of, NOW, DISK, P, attachment(attachError=again)) == [("FailedAttachVolume", failed + "no disk")]


def test_a_driver_that_says_nothing_is_named_every_two_minutes() -> None:
    of, waited = controller(), timedelta(minutes=2)
    picture = view(CLAIM, node(), DISK, P, attachment())
    assert of.plan(Key("", "n"), picture, NOW).again_after == waited
    words = "timed out waiting for external-attacher of d.io CSI driver to attach volume h"
    told = [("FailedAttachVolume", f'AttachVolume.Attach failed for volume "disk" : {words}')]
    assert said(of, NOW + waited, DISK, P, attachment()) == told
    assert said(of, NOW + waited, DISK, P, attachment()) == []
    assert said(of, NOW + 2 * waited, DISK, P, attachment()) == told


NAMED = {"name": "kubernetes.io/csi/d.io^h", "devicePath": ""}


@pytest.mark.parametrize(
    ("before", "objects", "patch"),
    [
        ([], [P, attachment(attached=True)], [NAMED]),
        ([NAMED], [P, attachment(attached=True)], ...),
        ([], [P, attachment()], ...),
        ([NAMED], [attachment(attached=True)], None),
    ],
    ids=["attached", "known", "not yet", "about to go"],
)
def test_a_node_lists_what_is_attached_to_it(before: list[Object], objects: list[Object], patch: object) -> None:
    actions = controller().plan(Key("", "n"), view(DISK, CLAIM, node(volumesAttached=before), *objects), NOW).actions
    found = [action.patch["status"]["volumesAttached"] for action in actions if isinstance(action, Patch)]
    assert found == ([] if patch is ... else [patch])
    assert not found or isinstance(actions[0], Patch)


THERE = obj("v1", "Node", "m", namespace="", spec={})


def modes(*names: str) -> Object:
    return {**DISK, "spec": {**DISK["spec"], "accessModes": list(names)}}


@pytest.mark.parametrize(
    ("disk", "other", "attaches"),
    [
        (modes("ReadWriteOnce"), attachment("m", attached=True), False),
        (modes("ReadWriteOncePod"), attachment("m"), False),
        (modes("ReadWriteOnce"), attachment("m", attachError={"message": "no"}), True),
        (modes("ReadWriteMany"), attachment("m", attached=True), True),
        (modes(), attachment("m", attached=True), True),
    ],
    ids=["another has it", "another is about to", "another cannot", "many may", "nobody knows"],
)
def test_a_volume_that_one_node_may_have_is_attached_to_one(disk: Object, other: Object, *, attaches: bool) -> None:
    actions = controller().plan(Key("", "n"), view(CLAIM, node(), THERE, disk, P, other), NOW).actions
    assert any(isinstance(action, Create) for action in actions) == attaches


def test_two_nodes_in_the_same_instant_do_not_both_get_a_volume_that_one_may_have() -> None:
    of, disk, there = controller(), modes("ReadWriteOnce"), pod("q", spec={**USING, "nodeName": "m"})
    n, m, nobody_yet = Key("", "n"), Key("", "m"), view(CLAIM, node(), THERE, disk, P, there)
    assert [type(action) for action in of.plan(n, nobody_yet, NOW).actions] == [Create]
    waits = of.plan(m, nobody_yet, NOW)
    assert not waits.actions
    assert waits.again_after == timedelta(seconds=1)
    written = view(CLAIM, node(), THERE, disk, P, there, attachment())
    assert not of.plan(n, written, NOW).actions
    assert not of.plan(m, written, NOW).actions
    failed = view(CLAIM, node(), THERE, disk, there)
    assert not of.plan(n, failed, NOW).actions
    assert [type(action) for action in of.plan(m, failed, NOW).actions] == [Create]


def test_a_pod_is_told_who_has_its_volume_and_gets_it_afterwards() -> None:
    of, disk, other = controller(), modes("ReadWriteOnce"), attachment("m", attached=True)
    holder = pod("q", spec={**USING, "nodeName": "m"})
    words = 'Multi-Attach error for volume "disk" Volume is already used by pod(s) q'
    assert said(of, NOW, THERE, disk, P, holder, other) == [("FailedAttachVolume", words)]
    assert said(of, NOW, THERE, disk, P, holder, other) == []
    gone = view(CLAIM, node(), THERE, disk, P, other)
    entry = gone.table(KIND).entries[Key("", other["metadata"]["name"])]
    assert set(of.watches[1].keys(entry, gone)) == {Key("", "m"), Key("", "n")}
    (create,) = of.plan(Key("", "n"), view(CLAIM, node(), disk, P), NOW).actions
    assert isinstance(create, Create)
    nobody = "Volume is already exclusively attached to one node and can't be attached to another"
    assert said(of, NOW, THERE, disk, P, other) == [
        ("FailedAttachVolume", f'Multi-Attach error for volume "disk" {nobody}')
    ]
