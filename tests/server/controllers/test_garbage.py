"""What becomes of an object by what its owners are."""

from __future__ import annotations

import pytest

from pylet.api.kinds.node import KIND as NODE
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.role import KIND as ROLE
from pylet.api.object import Key, Object
from pylet.client.view import Entry
from pylet.server.controllers import garbage
from pylet.server.reconcile.plan import Delete, Emit, Patch
from tests.server.controllers.picture import EARLIER, NOW, STORED, obj, view

KINDS = dict.fromkeys((POD, NODE, ROLE))
PLACE = Key("pods/a", "child")


def owned(*owners: Object, kind: str = "Pod") -> Object:
    return obj("v1", kind, "child", "" if kind == "Node" else "a", meta={"ownerReferences": list(owners)}, spec={})


def reference(api_version: str, kind: str, name: str, uid: str = "") -> Object:
    return {"apiVersion": api_version, "kind": kind, "name": name, "uid": uid or name}


THERE = (
    obj("v1", "Namespace", "a", ""),
    obj("v1", "Namespace", "b", ""),
    obj("v1", "Node", "n", "", spec={}),
    obj("v1", "Pod", "near", "a", spec={}),
    obj("v1", "Pod", "far", "b", spec={}),
    obj("rbac.authorization.k8s.io/v1", "Role", "r", "a"),
)
NEAR, FAR, GONE = (reference("v1", "Pod", name) for name in ("near", "far", "gone"))


@pytest.mark.parametrize(
    ("child", "expected", "is_told"),
    [
        pytest.param(owned(NEAR), [], False, id="its owner is there"),
        pytest.param(owned(reference("v1", "Node", "n")), [], False, id="of the cluster, its owner may be anywhere"),
        pytest.param(owned(GONE), [Delete], False, id="gone"),
        pytest.param(owned(reference("v1", "Pod", "near", "another")), [Delete], False, id="a namesake's"),
        pytest.param(owned(NEAR, GONE), [Patch], False, id="one of two is gone, and named no more"),
        pytest.param(owned(FAR), [Delete], True, id="in another namespace"),
        pytest.param(owned(FAR, kind="Node"), [], True, id="nothing of the cluster is a namespace's, nor goes for it"),
        pytest.param(owned(GONE, kind="Node"), [], False, id="nor where there is no such thing"),
        pytest.param(
            owned(reference("rbac.authorization.k8s.io/v1beta1", "Role", "r")), [], False, id="by any version"
        ),
        pytest.param(
            owned(reference("extensions/v1beta1", "Deployment", "d")), [], False, id="of a kind nobody serves"
        ),
        pytest.param(owned(reference("v1", "Node", "r")), [Delete], False, id="by a kind that it isn't"),
    ],
)
def test_an_object_goes_with_the_last_of_its_owners(child: Object, expected: list[type], is_told: bool) -> None:
    kind = NODE if child["kind"] == "Node" else POD
    key = Key(f"{kind.resource}/{child['metadata'].get('namespace', '')}", "child")
    actions = garbage.controller(KINDS).plan(key, view(child, *THERE), NOW).actions
    assert [type(action) for action in actions if not isinstance(action, Emit)] == expected
    told = [action.reason for action in actions if isinstance(action, Emit)]
    assert told == (["OwnerRefInvalidNamespace"] if is_told else [])


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


def test_who_lost_one_owner_keeps_the_other() -> None:
    (patch,) = garbage.controller(KINDS).plan(PLACE, view(owned(NEAR, GONE), *THERE), NOW).actions
    assert isinstance(patch, Patch)
    assert patch.patch["metadata"]["ownerReferences"] == [NEAR]


LEAVES = {"deletionTimestamp": EARLIER, "finalizers": ["foregroundDeletion"]}
OWNER = obj("v1", "Pod", "near", "a", meta=LEAVES, spec={})
CHILD = owned({**NEAR, "blockOwnerDeletion": True})


@pytest.mark.parametrize(
    ("changed", "there", "concerned"),
    [
        pytest.param(CHILD, [*THERE, CHILD], {"child"}, id="who is owned"),
        pytest.param(THERE[3], [*THERE, CHILD], set(), id="an owner that stays concerns nobody"),
        pytest.param(OWNER, [OWNER, CHILD], {"near", "child"}, id="one that leaves those it owns, too"),
        pytest.param(OWNER, [CHILD], {"child"}, id="one that is gone those alone"),
        pytest.param(
            OWNER, [obj("v1", "Pod", "near", "a", meta={"uid": "new"}, spec={}), CHILD], {"child"}, id="though replaced"
        ),
    ],
)
def test_whom_a_change_concerns(changed: Object, there: list[Object], concerned: set[str]) -> None:
    watch = next(watch for watch in garbage.controller(KINDS).watches if watch.kind is POD)
    assert {key.name for key in watch.keys(Entry.of(POD, changed), view(*there))} == concerned


def test_who_waits_for_its_dependents_is_woken_by_each_until_it_is_gone() -> None:
    controller, place = garbage.controller(KINDS), Key("pods/a", "near")
    watch = next(watch for watch in controller.watches if watch.kind is POD)
    controller.plan(place, view(OWNER, CHILD), NOW)
    assert set(watch.keys(Entry.of(POD, CHILD), view(OWNER))) == {place}
    controller.plan(place, view(CHILD), NOW)
    assert set(watch.keys(Entry.of(POD, CHILD), view())) == set()
