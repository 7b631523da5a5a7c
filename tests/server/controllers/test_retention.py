"""Whose a StatefulSet's claims are, where somebody else's controller has them."""

from __future__ import annotations

import pytest

from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Key, Object
from pylet.api.podtemplate import owner_reference
from pylet.server.controllers.statefulset import CONTROLLER
from pylet.server.reconcile.plan import Create, Emit, Patch
from tests.server.controllers.picture import NOW, controlled_by, obj, pod, view

FOREIGN = controlled_by(obj("example.com/v1", "Database", "db"))[0]


def stateful_set(when_deleted: str) -> Object:
    labels = {"app": "web"}
    return obj(
        "apps/v1",
        "StatefulSet",
        "web",
        spec={
            "replicas": 1,
            "selector": {"matchLabels": labels},
            "serviceName": "web",
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
            "volumeClaimTemplates": [{"metadata": {"name": "data"}, "spec": {}}],
            "persistentVolumeClaimRetentionPolicy": {"whenDeleted": when_deleted, "whenScaled": "Retain"},
        },
    )


@pytest.mark.parametrize(
    ("policy", "is_owned", "told", "patched"),
    [
        pytest.param("Delete", True, True, True, id="the set lets go of it, and says so"),
        pytest.param("Delete", False, False, False, id="that is settled"),
        pytest.param("Retain", True, False, True, id="nothing is to go with the set"),
    ],
)
def test_a_claim_of_another_controller(policy: str, is_owned: bool, told: bool, patched: bool) -> None:
    owner = stateful_set(policy)
    owners = [FOREIGN, *([{**owner_reference(owner, STATEFUL_SET), "controller": False}] if is_owned else [])]
    claim = obj("v1", "PersistentVolumeClaim", "data-web-0", meta={"ownerReferences": owners}, spec={})
    member = pod("web-0", owner=owner)
    (revision,) = CONTROLLER.plan(Key("default", "web"), view(owner, member, claim), NOW).actions
    assert isinstance(revision, Create)
    named = {**revision.object, "metadata": {**revision.object["metadata"], "uid": "r", "resourceVersion": "1"}}
    actions = CONTROLLER.plan(Key("default", "web"), view(owner, member, claim, named), NOW).actions
    reasons = [action.reason for action in actions if isinstance(action, Emit)]
    assert ("ConflictingController" in reasons) is told
    patches = [one.patch for one in actions if isinstance(one, Patch) and one.key.name == "data-web-0"]
    assert [one["metadata"]["ownerReferences"] for one in patches] == ([[FOREIGN]] if patched else [])
