"""Small controllers: kubelets' caches, bootstrap tokens, claims on devices, owners astray."""

from __future__ import annotations

import base64
import hmac
from datetime import timedelta

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers import (
    bootstrap_token,
    garbage,
    node_ttl,
    pod_gc,
    resourceclaim,
    resourceclaim_templates,
)
from pylet.server.reconcile.plan import Create, Delete, Emit, Patch, Update
from tests.server.controllers.picture import NOW, STORED, obj, pod, view


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


# ---- bootstrap tokens


def token(id_: str, *, expires: str = "", **data: str) -> Object:
    data = {"token-id": id_, "token-secret": "s" * 16, "usage-bootstrap-signing": "true", **data}
    if expires:
        data["expiration"] = expires
    encoded = {name: base64.b64encode(value.encode()).decode() for name, value in data.items()}
    name = f"bootstrap-token-{id_}"
    return obj("v1", "Secret", name, namespace="kube-system", type="bootstrap.kubernetes.io/token", data=encoded)


@pytest.mark.parametrize(
    ("expires", "goes", "again"),
    [("", False, None), ("2026-01-01T12:00:30Z", False, 30), ("2026-01-01T11:00:00Z", True, None), ("?", True, None)],
)
def test_a_bootstrap_token_goes_when_it_expires(expires: str, goes: bool, again: int | None) -> None:
    plan = bootstrap_token.plan(
        Key("kube-system", "bootstrap-token-abcdef"), view(token("abcdef", expires=expires)), NOW
    )
    assert [type(action) for action in plan.actions] == ([Delete] if goes else [])
    assert plan.again_after == (None if again is None else timedelta(seconds=again))


def test_tokens_sign_the_cluster_info_as_long_as_they_may() -> None:
    stale = {"kubeconfig": "content", "jws-kubeconfig-gone00": "x"}
    info = obj("v1", "ConfigMap", "cluster-info", namespace="kube-public", data=stale)
    expired = token("expire", expires="2026-01-01T11:00:00Z")
    silent = token("silent", **{"usage-bootstrap-signing": "false"})
    picture = view(info, token("abcdef"), expired, silent)
    (patch,) = bootstrap_token.plan(Key("kube-public", "cluster-info"), picture, NOW).actions
    assert isinstance(patch, Patch)
    header, empty, _ = patch.patch["data"]["jws-kubeconfig-abcdef"].split(".")
    assert base64.urlsafe_b64decode(header + "==") == b'{"alg":"HS256","kid":"abcdef"}'
    assert empty == ""
    assert patch.patch["data"].keys() == {"jws-kubeconfig-abcdef", "jws-kubeconfig-gone00"}
    assert patch.patch["data"]["jws-kubeconfig-gone00"] is None


def test_a_signature_leaves_its_content_out() -> None:
    header, empty, signed = bootstrap_token.signature("content", "abcdef", "secret").split(".")
    whole = f"{header}.{base64.urlsafe_b64encode(b'content').rstrip(b'=').decode()}"
    wanted = hmac.digest(b"secret", whole.encode(), "sha256")
    assert (empty, base64.urlsafe_b64decode(signed + "=")) == ("", wanted)


# ---- claims on devices

POD = {"resourceClaims": [{"name": "gpu", "resourceClaimTemplateName": "t"}]}


def test_a_pod_gets_the_claim_its_template_describes_and_is_told() -> None:
    template = obj("resource.k8s.io/v1", "ResourceClaimTemplate", "t", spec={"spec": {"devices": {}}})
    key, wants = Key("default", "p"), pod("p", spec=POD)
    (create,) = resourceclaim_templates.plan(key, view(wants, template), NOW).actions
    assert isinstance(create, Create)
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


# ---- pods and owners


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


def test_an_owner_in_another_namespace_owns_nothing() -> None:
    owner = obj("v1", "ConfigMap", "owner", namespace="there")
    reference = [{"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": "owner"}]
    owned = obj("v1", "ConfigMap", "owned", meta={"ownerReferences": reference})
    there = obj("v1", "Namespace", "there", namespace="", spec={})
    plan = garbage.controller(STORED).plan(Key("configmaps/default", "owned"), view(owner, owned, there), NOW)
    told, gone = plan.actions
    assert isinstance(told, Emit)
    assert (told.reason, told.message) == (
        "OwnerRefInvalidNamespace",
        'ownerRef [v1/ConfigMap, namespace: default, name: owner, uid: owner] does not exist in namespace "default"',
    )
    assert isinstance(gone, Delete)
