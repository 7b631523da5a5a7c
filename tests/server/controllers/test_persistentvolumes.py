"""Volumes and claims: binding, reclaiming and protecting, decision by decision."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, dig
from pylet.api.timestamps import format_time
from pylet.api.volumebinding import best_match, default_class
from pylet.client.view import Entry, View
from pylet.server.controllers import (
    ephemeral_volume,
    local_path,
    persistentvolume,
    pv_protection,
    pvc_protection,
    volume_expand,
)
from pylet.server.reconcile.plan import Action, Count, Create, Delete, Emit, Update
from tests.server.controllers.picture import NOW, controlled_by, obj, pod, view

CLAIM_KEY, VOLUME_KEY = Key("default", "data"), Key("", "disk")
REFERENCE = {"kind": "PersistentVolumeClaim", "namespace": "default", "name": "data", "uid": "data"}


def claim(status: Object | None = None, *, size: str = "1Gi", meta: Object | None = None, **spec: Any) -> Object:
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": size}}, **spec}
    status = {"phase": "Pending"} if status is None else status
    return obj("v1", "PersistentVolumeClaim", "data", meta=meta or {}, spec=spec, status=status)


def volume(name: str = "disk", *, size: str = "1Gi", phase: str = "Available", **spec: Any) -> Object:
    meta = spec.pop("meta", {})
    spec = {"accessModes": ["ReadWriteOnce"], "capacity": {"storage": size}, "hostPath": {"path": "/data"}, **spec}
    status = {"phase": phase} if phase else {}
    return obj("v1", "PersistentVolume", name, namespace="", meta=meta, spec=spec, status=status)


def storage_class(name: str = "fast", *, mode: str = "Immediate", provisioner: str = "x.io/y", **meta: Any) -> Object:
    rest = {"provisioner": provisioner, "volumeBindingMode": mode, "reclaimPolicy": "Delete"}
    return obj("storage.k8s.io/v1", "StorageClass", name, namespace="", meta=meta, **rest)


def told(actions: tuple[Action, ...]) -> list[tuple[str, str]]:
    return [(action.reason, action.message) for action in actions if isinstance(action, Emit)]


def written(actions: tuple[Action, ...]) -> list[Object]:
    return [action.object for action in actions if isinstance(action, Update)]


@pytest.mark.parametrize(
    ("wants", "there", "expected"),
    [
        pytest.param({}, {"a": {"size": "5Gi"}, "b": {"size": "2Gi"}}, "b", id="the smallest that is large enough"),
        pytest.param({"size": "3Gi"}, {"a": {"size": "5Gi"}, "b": {"size": "2Gi"}}, "a", id="not a smaller one"),
        pytest.param(
            {},
            {"a": {"accessModes": ["ReadWriteOnce", "ReadWriteMany"]}, "b": {"size": "9Gi"}},
            "b",
            id="the fewest access modes come first",
        ),
        pytest.param({"accessModes": ["ReadWriteMany"]}, {"a": {}}, None, id="all access modes are needed"),
        pytest.param({"storageClassName": "fast"}, {"a": {}}, None, id="the class must be the same"),
        pytest.param({"volumeMode": "Block"}, {"a": {}}, None, id="so must the mode"),
        pytest.param({}, {"a": {"phase": "Released"}}, None, id="what is released is not free"),
        pytest.param({}, {"a": {}, "b": {"size": "9Gi", "claimRef": REFERENCE}}, "b", id="a reserved one is taken"),
        pytest.param({}, {"a": {"claimRef": {**REFERENCE, "name": "other"}}}, None, id="another's is not"),
        pytest.param({}, {"a": {"claimRef": {**REFERENCE, "uid": "old"}}}, None, id="nor a namesake's"),
        pytest.param(
            {"selector": {"matchLabels": {"disk": "ssd"}}},
            {"a": {}, "b": {"meta": {"labels": {"disk": "ssd"}}}},
            "b",
            id="labels select",
        ),
        pytest.param({}, {"a": {"meta": {"deletionTimestamp": "x"}}}, None, id="one that goes is not taken"),
    ],
)
def test_which_volume_a_claim_gets(wants: Any, there: dict[str, Any], expected: str | None) -> None:
    found = best_match(claim(**wants), [volume(name, **spec) for name, spec in there.items()])
    assert (found and found["metadata"]["name"]) == expected


def test_the_newest_default_class_counts() -> None:
    mark = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    old = storage_class("old", creationTimestamp="2025-01-01T00:00:00Z", **mark)
    found = default_class([storage_class("none"), storage_class("new", **mark), old])
    assert found is not None
    assert found["metadata"]["name"] == "new"


def settle(*objects: Object, key: Key, most: int = 9) -> tuple[View, list[Action]]:
    """Carry out updates until nothing is left to do."""
    held = {(one["kind"], one["metadata"]["name"]): one for one in objects}
    done: list[Action] = []
    for _ in range(most):
        actions = persistentvolume.plan(key, view(*held.values()), NOW).actions
        done += actions
        if not written(actions):
            return view(*held.values()), done
        for fresh in written(actions):
            held[fresh["kind"], fresh["metadata"]["name"]] = fresh
    raise AssertionError("never settles")


def test_binding_takes_four_writes_and_then_none() -> None:
    picture, actions = settle(claim(), volume(), key=CLAIM_KEY)
    kinds = [(a.kind.name, a.subresource) for a in actions if isinstance(a, Update)]
    volume_kind, claim_kind = "PersistentVolume", "PersistentVolumeClaim"
    assert kinds == [(volume_kind, ""), (volume_kind, "status"), (claim_kind, ""), (claim_kind, "status")]
    bound = picture.get(persistentvolume.CLAIM, CLAIM_KEY)
    assert bound is not None
    assert bound["status"] == {
        "phase": "Bound",
        "accessModes": ["ReadWriteOnce"],
        "capacity": {"storage": "1Gi"},
    }
    assert bound["metadata"]["annotations"] == {
        "pv.kubernetes.io/bind-completed": "yes",
        "pv.kubernetes.io/bound-by-controller": "yes",
    }
    disk = picture.get(persistentvolume.VOLUME, VOLUME_KEY)
    assert disk is not None
    assert (disk["status"]["phase"], disk["spec"]["claimRef"]["uid"]) == ("Bound", "data")
    assert persistentvolume.plan(VOLUME_KEY, picture, NOW).actions == ()


@pytest.mark.parametrize(
    ("objects", "expected"),
    [
        pytest.param(
            [claim()],
            ("FailedBinding", "no persistent volumes available for this claim and no storage class is set"),
            id="nothing there",
        ),
        pytest.param(
            [claim(storageClassName="fast"), storage_class(mode="WaitForFirstConsumer")],
            ("WaitForFirstConsumer", "waiting for first consumer to be created before binding"),
            id="waits for a pod",
        ),
        pytest.param(
            [
                claim(storageClassName="fast"),
                storage_class(mode="WaitForFirstConsumer"),
                pod("p", spec={"nodeName": "", "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]}),
            ],
            ("WaitForPodScheduled", "waiting for pod p to be scheduled"),
            id="waits for the pod to get a node",
        ),
        pytest.param(
            [
                claim(storageClassName="fast"),
                storage_class(mode="WaitForFirstConsumer"),
                *(
                    pod(name, spec={"nodeName": "", "volumes": [{"persistentVolumeClaim": {"claimName": "data"}}]})
                    for name in ("q", "p")
                ),
            ],
            ("WaitForPodScheduled", "waiting for pods p,q to be scheduled"),
            id="or several",
        ),
        pytest.param(
            [claim(storageClassName="gone")],
            ("ProvisioningFailed", 'storageclass.storage.k8s.io "gone" not found'),
            id="no such class",
        ),
        pytest.param(
            [claim(volumeName="disk", size="2Gi"), volume()],
            ("VolumeMismatch", 'Cannot bind to requested volume "disk": requested PV is too small'),
            id="asked for one that is too small",
        ),
        pytest.param(
            [claim(volumeName="disk"), volume(claimRef={**REFERENCE, "name": "x", "uid": "x"})],
            ("FailedBinding", 'volume "disk" already bound to a different claim.'),
            id="asked for one that is taken",
        ),
    ],
)
def test_why_a_claim_stays_pending(objects: list[Object], expected: tuple[str, str]) -> None:
    _, actions = settle(*objects, key=CLAIM_KEY)
    assert told(tuple(actions))[-1] == expected


def test_a_provisioner_is_asked_by_annotation() -> None:
    _, actions = settle(claim(storageClassName="fast"), storage_class(), key=CLAIM_KEY)
    (asked,) = written(tuple(actions))
    assert asked["metadata"]["annotations"]["volume.kubernetes.io/storage-provisioner"] == "x.io/y"
    assert told(tuple(actions))[0][0] == "ExternalProvisioning"


def test_a_claim_without_a_class_gets_the_default_one_later() -> None:
    mark = {"annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}
    (fresh,) = written(persistentvolume.plan(CLAIM_KEY, view(claim(), storage_class(**mark)), NOW).actions)
    assert fresh["spec"]["storageClassName"] == "fast"
    none = claim(storageClassName="")
    assert not written(persistentvolume.plan(CLAIM_KEY, view(none, storage_class(**mark)), NOW).actions)


BOUND_META = {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}}


@pytest.mark.parametrize(
    ("found", "reason"),
    [(None, "ClaimLost"), (volume(claimRef={**REFERENCE, "uid": "another"}, phase="Bound"), "ClaimMisbound")],
)
def test_a_claim_whose_volume_is_gone_is_lost(found: Object | None, reason: str) -> None:
    bound = claim({"phase": "Bound", "capacity": {"storage": "1Gi"}}, meta=BOUND_META, volumeName="disk")
    picture, actions = settle(bound, *([found] if found else []), key=CLAIM_KEY)
    assert [each for each, _ in told(tuple(actions))] == [reason]
    lost = picture.get(persistentvolume.CLAIM, CLAIM_KEY)
    assert lost is not None
    assert lost["status"] == {"phase": "Lost"}


PROVISIONED = {"annotations": {"pv.kubernetes.io/provisioned-by": "x.io/y"}}


@pytest.mark.parametrize(
    ("policy", "meta", "phase", "reason"),
    [
        ("Retain", {}, "Released", None),
        ("Delete", PROVISIONED, "Released", None),
        ("Delete", {}, "Failed", "VolumeFailedDelete"),
        ("Shred", {}, "Failed", "VolumeUnknownReclaimPolicy"),
    ],
)
def test_what_becomes_of_a_volume_without_its_claim(policy: str, meta: Object, phase: str, reason: str | None) -> None:
    released = volume(phase="Bound", claimRef=REFERENCE, persistentVolumeReclaimPolicy=policy, meta=meta)
    picture, actions = settle(released, key=VOLUME_KEY)
    assert dig(picture.get(persistentvolume.VOLUME, VOLUME_KEY), "status", "phase") == phase
    assert [each for each, _ in told(tuple(actions))] == ([reason] if reason else [])


@pytest.mark.parametrize(
    ("policy", "meta", "phase"),
    [("Delete", PROVISIONED, "Released"), ("Retain", PROVISIONED, "Available"), ("Delete", {}, "Available")],
    ids=["made for it", "made for it, and kept", "made by somebody"],
)
def test_a_volume_whose_claim_took_another_goes_if_it_was_made_for_it(policy: str, meta: Object, phase: str) -> None:
    unused = volume(phase="Bound", claimRef=REFERENCE, persistentVolumeReclaimPolicy=policy, meta=meta)
    picture, _ = settle(unused, claim(volumeName="other"), key=VOLUME_KEY)
    assert dig(picture.get(persistentvolume.VOLUME, VOLUME_KEY), "status", "phase") == phase


def test_a_volume_and_a_claim_of_two_modes_are_told_so() -> None:
    block = volume(claimRef=REFERENCE, volumeMode="Block")
    actions = persistentvolume.plan(VOLUME_KEY, view(block, claim()), NOW).actions
    assert [each for each, _ in told(actions)] == ["VolumeMismatch", "VolumeMismatch"]


RELEASED = volume(phase="Released", claimRef=REFERENCE, persistentVolumeReclaimPolicy="Recycle", size="3Gi")


def recycler(phase: str = "", *, seconds: int = 20, meta: Object | None = None, **spec: Any) -> Object:
    """The pod as the API gives it back, `seconds` old."""
    (made,) = persistentvolume.plan(VOLUME_KEY, view(RELEASED), NOW).actions
    assert isinstance(made, Create)
    (container,), volumes = made.object["spec"]["containers"], made.object["spec"]["volumes"]
    token = {"name": "kube-api-access", "mountPath": "/var/run/secrets"}
    container = {**container, "volumeMounts": [*container["volumeMounts"], token], "terminationMessagePath": "/dev/x"}
    spec = {
        **made.object["spec"],
        "containers": [container],
        "volumes": [*volumes, {"name": "kube-api-access"}],
        **spec,
    }
    meta = {"uid": "r", "creationTimestamp": format_time(NOW - timedelta(seconds=seconds)), **(meta or {})}
    return {**made.object, "metadata": {**made.object["metadata"], **meta}, "spec": spec, "status": {"phase": phase}}


def test_the_pod_that_empties_a_volume() -> None:
    spec = recycler()["spec"]
    assert spec["activeDeadlineSeconds"] == 90
    assert spec["volumes"][0] == {"name": "vol", "hostPath": {"path": "/data", "type": ""}}


FORGED = {"containers": [{**recycler()["spec"]["containers"][0], "command": ["/bin/true"]}]}
EARLY = {"status": {"phase": "Released", "lastPhaseTransitionTime": "2026-01-01T12:00:00Z"}}
WHY = "Recycle failed: failed to recycle volume: pod failed, pod.Status.Message unknown"


@pytest.mark.parametrize(
    ("found", "released", "deleted", "said", "phase", "again_seconds"),
    [
        (recycler("Running"), {}, False, [], "Released", None),
        (recycler("Succeeded", meta={"deletionTimestamp": "x"}), {}, False, [], "Released", None),
        (recycler("Succeeded"), {}, True, [("VolumeRecycled", "Volume recycled")], "Released", None),
        (recycler("Succeeded", **FORGED), {}, True, [], "Released", None),
        (recycler("Succeeded", initContainers=FORGED["containers"]), {}, True, [], "Released", None),
        (recycler("Succeeded"), EARLY, True, [], "Released", None),
        (recycler("Failed", seconds=5), {}, False, [("VolumeFailedRecycle", WHY)], "Failed", 10),
        (recycler("Failed"), {}, True, [("VolumeFailedRecycle", WHY)], "Failed", None),
    ],
    ids=[
        "is awaited", "goes first", "has emptied it", "runs something else", "runs something else before",
        "ended before the release", "failed just now", "failed and had its turn",
    ],
)  # fmt: skip
def test_what_becomes_of_a_volume_whose_recycler(
    found: Object, released: Object, deleted: bool, said: list[Any], phase: str, again_seconds: int | None
) -> None:
    plan = persistentvolume.plan(VOLUME_KEY, view({**RELEASED, **released}, found), NOW)
    assert [each.uid for each in plan.actions if isinstance(each, Delete)] == (["r"] if deleted else [])
    assert told(plan.actions) == said
    now = [each for each in written(plan.actions) if each["kind"] == "PersistentVolume"]
    assert [each["status"]["phase"] for each in now] == ([phase] if said else [])
    assert [each for each in now if phase == "Released" and "uid" in each["spec"]["claimRef"]] == []
    assert plan.again_after == (timedelta(seconds=again_seconds) if again_seconds else None)


def test_what_nothing_recycles() -> None:
    local = {**RELEASED, "spec": {**RELEASED["spec"], "local": {"path": "/data"}}}
    del local["spec"]["hostPath"]
    actions = persistentvolume.plan(VOLUME_KEY, view(local), NOW).actions
    assert told(actions) == [("VolumeFailedRecycle", "No recycler plugin found for the volume!")]


def test_a_volume_whose_claim_went_elsewhere_is_free_again() -> None:
    by_us = {"annotations": {"pv.kubernetes.io/bound-by-controller": "yes"}}
    picture, _ = settle(
        volume(phase="Bound", claimRef=REFERENCE, meta=by_us), claim(volumeName="other"), key=VOLUME_KEY
    )
    disk = picture.get(persistentvolume.VOLUME, VOLUME_KEY)
    assert disk is not None
    assert "claimRef" not in disk["spec"]
    assert disk["status"]["phase"] == "Available"


# ---- protection

GOING = {"deletionTimestamp": "2026-01-01T11:59:00Z"}
USING = {"volumes": [{"name": "v", "persistentVolumeClaim": {"claimName": "data"}}]}


@pytest.mark.parametrize(
    ("pods", "is_free"),
    [
        ([], True),
        ([pod("p", spec=USING)], False),
        ([pod("p", spec={**USING, "nodeName": ""})], True),
        ([pod("p", spec={"volumes": [{"name": "v", "ephemeral": {}}]})], True),
    ],
    ids=["unused", "used", "used by a pod without a node", "another's ephemeral volume"],
)
def test_a_claim_in_use_stays(pods: list[Object], is_free: bool) -> None:
    going = claim(meta={**GOING, "finalizers": [pvc_protection.FINALIZER]})
    changed = written(pvc_protection.plan(CLAIM_KEY, view(going, *pods), NOW).actions)
    assert [one["metadata"]["finalizers"] for one in changed] == ([[]] if is_free else [])


@pytest.mark.parametrize(("grace", "is_free"), [(30, False), (0, True)])
def test_a_pod_that_is_shut_down_may_wait_for_the_claims_made_for_it(grace: int, is_free: bool) -> None:
    """Deleted in the foreground, neither pod nor claim would ever go."""
    going = {**GOING, "deletionGracePeriodSeconds": grace, "finalizers": ["foregroundDeletion"]}
    user = pod("p", spec={"volumes": [{"name": "v", "ephemeral": {}}]}, **going)
    made = claim(meta={**GOING, "finalizers": [pvc_protection.FINALIZER], "ownerReferences": controlled_by(user)})
    made["metadata"]["name"] = "p-v"
    picture, key = view(made, user), Key("default", "p-v")
    changed = written(pvc_protection.plan(key, picture, NOW).actions)
    assert [one["metadata"]["finalizers"] for one in changed] == ([[]] if is_free else [])
    (_, of_pods) = pvc_protection.CONTROLLER.watches
    assert list(of_pods.keys(Entry.of(POD, user), picture)) == ([key] if is_free else [])


@pytest.mark.parametrize(("phase", "is_free"), [("Bound", False), ("Released", True)])
def test_a_bound_volume_stays(phase: str, is_free: bool) -> None:
    going = volume(phase=phase, meta={**GOING, "finalizers": [pv_protection.FINALIZER, "other"]})
    changed = written(pv_protection.plan(VOLUME_KEY, view(going), NOW).actions)
    assert [one["metadata"]["finalizers"] for one in changed] == ([["other"]] if is_free else [])


def test_protection_is_added_where_it_lacks() -> None:
    (changed,) = written(pvc_protection.plan(CLAIM_KEY, view(claim()), NOW).actions)
    assert changed["metadata"]["finalizers"] == [pvc_protection.FINALIZER]


# ---- claims made for pods, growing, and local directories


def test_an_ephemeral_volume_gets_a_claim_of_its_own() -> None:
    template = {"metadata": {"labels": {"a": "b"}}, "spec": {"accessModes": ["ReadWriteOnce"]}}
    wants = pod("p", spec={"volumes": [{"name": "scratch", "ephemeral": {"volumeClaimTemplate": template}}]})
    create, counted = ephemeral_volume.plan(Key("default", "p"), view(wants), NOW).actions
    assert isinstance(create, Create)
    assert isinstance(counted, Count)
    assert create.object["metadata"]["name"] == "p-scratch"
    assert create.object["metadata"]["ownerReferences"][0]["uid"] == "p"
    other = obj("v1", "PersistentVolumeClaim", "p-scratch", spec={})
    (refusal,) = told(ephemeral_volume.plan(Key("default", "p"), view(wants, other), NOW).actions)
    assert refusal == (
        "FailedBinding",
        'ephemeral volume scratch: PVC "default/p-scratch" was not created for pod "default/p" (pod is not owner)',
    )


def test_a_claim_that_grows_waits_for_its_driver() -> None:
    status = {"phase": "Bound", "capacity": {"storage": "1Gi"}}
    grown = claim(status, size="2Gi", volumeName="disk")
    picture = view(grown, volume(claimRef=REFERENCE, phase="Bound"))
    assert told(volume_expand.plan(CLAIM_KEY, picture, NOW).actions)[0][0] == "ExternalExpanding"


NODE = obj("v1", "Node", "n1", namespace="", meta={"labels": {"kubernetes.io/hostname": "n1"}}, spec={})
LOCAL = storage_class("local-path", mode="WaitForFirstConsumer", provisioner=local_path.NAME)
ASKED = {
    "annotations": {
        "volume.kubernetes.io/storage-provisioner": local_path.NAME,
        "volume.kubernetes.io/selected-node": "n1",
    }
}


def test_a_local_directory_is_made_on_the_pods_node() -> None:
    wants = claim(storageClassName="local-path", meta=ASKED)
    actions = local_path.plan(CLAIM_KEY, view(wants, LOCAL, NODE), NOW).actions
    _, create = actions
    assert isinstance(create, Create)
    assert create.object["metadata"]["labels"] == {"pylet.io/node": "n1"}
    spec = create.object["spec"]
    assert spec["hostPath"]["path"] == "/var/lib/pylet/storage/pvc-data_default_data"
    (term,) = spec["nodeAffinity"]["required"]["nodeSelectorTerms"]
    assert term["matchExpressions"][0]["values"] == ["n1"]
    made = {**create.object, "metadata": {**create.object["metadata"], "uid": "v"}}
    assert local_path.plan(CLAIM_KEY, view(wants, LOCAL, NODE, made), NOW).actions == ()
    bound, _ = settle(wants, LOCAL, made, key=CLAIM_KEY)
    assert dig(bound.get(persistentvolume.CLAIM, CLAIM_KEY), "status", "phase") == "Bound"


def test_what_a_directory_cannot_be_is_said_and_another_node_may_be_tried() -> None:
    wants = claim(storageClassName="local-path", accessModes=["ReadWriteMany"], meta=ASKED)
    refused, changed = local_path.plan(CLAIM_KEY, view(wants, LOCAL, NODE), NOW).actions
    assert isinstance(refused, Emit)
    assert refused.reason == "ProvisioningFailed"
    assert isinstance(changed, Update)
    assert "volume.kubernetes.io/selected-node" not in changed.object["metadata"]["annotations"]


def test_a_released_directory_goes_by_its_node_or_with_it() -> None:
    ours = {"pv.kubernetes.io/provisioned-by": local_path.NAME, local_path.NODE_ANNOTATION: "n1"}
    meta: Object = {"annotations": ours, "finalizers": [local_path.NAME]}
    released = volume(phase="Released", claimRef=REFERENCE, persistentVolumeReclaimPolicy="Delete", meta=meta)
    (delete,) = local_path.plan(VOLUME_KEY, view(released, NODE), NOW).actions
    assert isinstance(delete, Delete)
    going = {**released, "metadata": {**released["metadata"], **GOING}}
    assert local_path.plan(VOLUME_KEY, view(going, NODE), NOW).actions == ()
    (freed,) = written(local_path.plan(VOLUME_KEY, view(going), NOW).actions)
    assert freed["metadata"]["finalizers"] == []
