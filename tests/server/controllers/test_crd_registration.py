"""APIServices of custom resources: there as long as a definition serves their group and version."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers.crd_registration import CONTROLLER
from pylet.server.reconcile.plan import Action, Create, Delete, Update
from tests.server.controllers.picture import NOW, obj, view

SPEC = {"group": "ex.com", "version": "v1", "groupPriorityMinimum": 1000, "versionPriority": 100}
LABEL = "kube-aggregator.kubernetes.io/automanaged"


def definition(*versions: str, unserved: str = "", plural: str = "foos") -> Object:
    named = [{"name": name, "served": name != unserved} for name in versions]
    spec = {"group": "ex.com", "versions": named}
    return obj("apiextensions.k8s.io/v1", "CustomResourceDefinition", f"{plural}.ex.com", "", spec=spec)


def service(label: str = "true", **spec: Any) -> Object:
    meta = {"labels": {LABEL: label}}
    return obj("apiregistration.k8s.io/v1", "APIService", "v1.ex.com", "", meta=meta, spec=SPEC | spec)


def actions(*objects: Object) -> tuple[Action, ...]:
    return CONTROLLER.plan(Key("", "v1.ex.com"), view(*objects), NOW).actions


def test_what_is_served_has_one() -> None:
    (create,) = actions(definition("v2", plural="bars"), definition("v1", "v2"))
    assert isinstance(create, Create)
    assert (create.object["spec"], create.object["metadata"]["labels"]) == (SPEC, {LABEL: "true"})


@pytest.mark.parametrize(
    "objects", [(), (definition("v2"),), (definition("v1", unserved="v1"),)], ids=["0", "v2", "un"]
)
def test_what_is_not_served_has_none(objects: tuple[Object, ...]) -> None:
    assert actions(*objects) == ()
    (delete,) = actions(*objects, service())
    assert isinstance(delete, Delete)


def test_one_that_was_changed_is_as_it_was() -> None:
    assert actions(definition("v1"), service()) == ()
    (update,) = actions(definition("v1"), service(versionPriority=7))
    assert isinstance(update, Update)
    assert update.object["spec"] == SPEC


@pytest.mark.parametrize("label", ["", "onstart"])
def test_others_are_left_alone(label: str) -> None:
    assert actions(service(label)) == actions(definition("v1"), service(label, versionPriority=7)) == ()


def test_a_definition_concerns_what_it_serves() -> None:
    _, watch = CONTROLLER.watches
    seen = view(definition("v1", "v2", "v3", unserved="v3"))
    (entry,) = seen.table(watch.kind).entries.values()
    assert list(watch.keys(entry, seen)) == [Key("", "v1.ex.com"), Key("", "v2.ex.com")]
