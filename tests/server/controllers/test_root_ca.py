"""What every namespace trusts the API server by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pylet.api.object import Key, Object
from pylet.server.controllers import root_ca
from pylet.server.reconcile.plan import Create, Patch
from tests.server.controllers.picture import NOW, obj, view

PLAN: Callable[..., Any] = root_ca.controller("CA").plan
NAMESPACE = obj("v1", "Namespace", "a", namespace="")
SAYS = {"kubernetes.io/description": "what it is"}


def published(data: Object, annotations: Object) -> Object:
    return obj("v1", "ConfigMap", root_ca.NAME, "a", meta={"annotations": annotations}, data=data)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ([], [Create]),
        ([published({"ca.crt": "CA"}, SAYS)], []),
        ([published({"ca.crt": "another"}, SAYS)], [Patch]),
        ([published({"ca.crt": "CA", "more": "x"}, SAYS)], [Patch]),
        ([published({"ca.crt": "CA"}, {})], [Patch]),
    ],
    ids=["missing", "right", "another's", "more than that", "without its description"],
)
def test_the_config_map_is_kept_as_it_should_be(found: list[Object], expected: list[type]) -> None:
    actions = PLAN(Key("", "a"), view(NAMESPACE, *found), NOW).actions
    assert [type(action) for action in actions] == expected
