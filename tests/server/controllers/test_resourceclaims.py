"""Claims on devices: made for pods, reserved for them, and let go step by step."""

from __future__ import annotations

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers import resourceclaim, resourceclaim_templates
from pylet.server.reconcile.plan import Count, Create, Delete, Emit, Patch, Update
from tests.server.controllers.picture import NOW, obj, pod, view

POD = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}


def test_a_pod_gets_the_claim_its_template_describes_and_is_told() -> None:
    template = obj("resource.k8s.io/v1", "ResourceClaimTemplate", "t", spec={"spec": {"devices": {}}})
    key, wants = Key("default", "p"), pod("p", spec=POD)
    create, counted = resourceclaim_templates.plan(key, view(wants, template), NOW).actions
    assert isinstance(create, Create)
    assert isinstance(counted, Count)
    assert counted.labels == ("success", "false")
    assert create.object["metadata"]["generateName"] == "p-gpu-"
    made = {**create.object, "metadata": {**create.object["metadata"], "name": "p-gpu-x", "uid": "c"}}
    (patch,) = resourceclaim_templates.plan(key, view(wants, template, made), NOW).actions
    assert isinstance(patch, Patch)
    told = [{"name": "gpu", "resourceClaimName": "p-gpu-x"}]
    assert patch.patch["status"] == {"resourceClaimStatuses": told}
    wants["status"]["resourceClaimStatuses"] = told
    assert resourceclaim_templates.plan(key, view(wants, template, made), NOW).actions == ()
    (missing,) = resourceclaim_templates.plan(key, view(pod("p", spec={**POD, "nodeName": ""})), NOW).actions
    assert isinstance(missing, Emit)


@pytest.mark.parametrize(
    ("node", "status", "holders"),
    [
        ("n", {"allocation": {}}, ["p"]),
        ("n", {"allocation": {}, "reservedFor": [{"uid": "q"}]}, ["q", "p"]),
        ("n", {"allocation": {}, "reservedFor": [{"uid": "p"}]}, None),
        ("n", {}, None),
        ("", {"allocation": {}}, None),
    ],
    ids=["alone", "beside another", "has it", "not allocated", "the scheduler's to do"],
)
def test_a_claim_is_reserved_for_a_pod_that_no_scheduler_placed(
    node: str, status: Object, holders: list[str] | None
) -> None:
    claim = obj("resource.k8s.io/v1", "ResourceClaim", "c", spec={}, status=status)
    wants = pod("p", spec={"nodeName": node, "resourceClaims": [{"name": "gpu", "resourceClaimName": "c"}]})
    actions = resourceclaim_templates.plan(Key("default", "p"), view(wants, claim), NOW).actions
    found = [[holder["uid"] for holder in action.object["status"]["reservedFor"]] for action in actions]
    assert found == ([] if holders is None else [holders])


def test_a_pod_that_is_done_lets_its_claim_go_step_by_step() -> None:
    done = pod("p")
    done["status"]["phase"] = "Succeeded"
    owner = [{"apiVersion": "v1", "kind": "Pod", "name": "p", "uid": "p", "controller": True}]
    meta = {"finalizers": ["resource.kubernetes.io/delete-protection"], "ownerReferences": owner}
    holders = [{"resource": "pods", "name": "p", "uid": "p"}]
    claim = obj("resource.k8s.io/v1", "ResourceClaim", "c", meta=meta, spec={})
    claim["status"] = {"allocation": {}, "reservedFor": holders}
    key = Key("default", "c")
    (freed,) = resourceclaim.plan(key, view(claim, done), NOW).actions
    assert isinstance(freed, Update)
    assert freed.object["status"] == {}
    (unprotected,) = resourceclaim.plan(key, view(freed.object, done), NOW).actions
    assert isinstance(unprotected, Update)
    (gone,) = resourceclaim.plan(key, view(unprotected.object, done), NOW).actions
    assert isinstance(gone, Delete)
    assert resourceclaim.plan(key, view(claim, pod("p")), NOW).actions == ()


def test_only_pods_that_are_done_lose_their_hold_on_a_claim() -> None:
    done = pod("p")
    done["status"]["phase"] = "Failed"
    holders = [{"resource": "pods", "name": name, "uid": name} for name in ("p", "q", "gone")]
    others = {"apiGroup": "x.io", "resource": "things", "name": "t", "uid": "t"}
    meta = {"finalizers": ["resource.kubernetes.io/delete-protection"]}
    claim = obj("resource.k8s.io/v1", "ResourceClaim", "c", meta=meta, spec={})
    claim["status"] = {"allocation": {"devices": {}}, "reservedFor": [*holders, others]}
    (freed,) = resourceclaim.plan(Key("default", "c"), view(claim, done, pod("q")), NOW).actions
    assert isinstance(freed, Update)
    assert freed.object["status"] == {"allocation": {"devices": {}}, "reservedFor": [holders[1], others]}
