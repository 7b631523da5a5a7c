"""Access reviews: which are refused, and what they ask."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.server.auth import access_reviews
from pylet.server.registry import User

PODS = {"verb": "list", "resource": "pods", "namespace": "a"}
PATH = {"path": "/x", "verb": "get"}


def selecting(**selector: Any) -> dict[str, Any]:
    return {"user": "bob", "resourceAttributes": {**PODS, "fieldSelector": selector}}


def requirement(operator: str, *values: str) -> dict[str, Any]:
    return {"key": "spec.nodeName", "operator": operator, "values": list(values)}


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"user": "bob"}, "spec.resourceAttributes", "Invalid value: null: exactly one of"),
        (
            {"user": "bob", "resourceAttributes": PODS, "nonResourceAttributes": PATH},
            "spec.nonResourceAttributes",
            'Invalid value: {"Path":"/x","Verb":"get"}: cannot be specified in combination',
        ),
        ({"resourceAttributes": PODS}, "spec.user", 'Invalid value: "": at least one of user or group'),
        (selecting(), "spec.resourceAttributes.fieldSelector.requirements", "Required value: when"),
        (
            selecting(rawSelector="a=b", requirements=[requirement("In", "n")]),
            "spec.resourceAttributes.fieldSelector.rawSelector",
            'Invalid value: "a=b": may not specified at the same time',
        ),
        (
            selecting(requirements=[requirement("Exists", "n")]),
            "spec.resourceAttributes.fieldSelector.requirements[0].values",
            "Forbidden: may not be specified when",
        ),
        (
            selecting(requirements=[requirement("In")]),
            "spec.resourceAttributes.fieldSelector.requirements[0].values",
            "Required value: must be specified when",
        ),
    ],
)
def test_a_bad_question_is_refused(spec: dict[str, Any], field: str, says: str) -> None:
    (cause,) = access_reviews.problems({"spec": spec}, names_user=True)
    assert cause.field == field
    assert cause.message.startswith(says)


def test_a_local_review_is_about_its_namespace() -> None:
    review = {"metadata": {"namespace": "a"}, "spec": {"user": "bob", "resourceAttributes": PODS}}
    assert not list(access_reviews.problems(review, names_user=True, namespace="a"))
    (cause,) = access_reviews.problems(review, names_user=True, namespace="b")
    assert cause.message == 'Invalid value: "a": must match metadata.namespace'


def test_metadata_has_to_be_empty() -> None:
    review = {"metadata": {"name": "x"}, "spec": {"resourceAttributes": PODS}}
    (cause,) = access_reviews.problems(review, names_user=False)
    assert cause.field == "metadata"


@pytest.mark.parametrize(
    ("selector", "fields", "is_understood"),
    [
        ({"rawSelector": "spec.nodeName=n"}, "spec.nodeName=n", True),
        ({"rawSelector": "a=b=c,,"}, "", False),
        ({"requirements": [requirement("In", "n")]}, "spec.nodeName=n", True),
        ({"requirements": [requirement("NotIn", "n")]}, "spec.nodeName!=n", True),
        ({"requirements": [requirement("In", "n", "m")]}, "", False),
        ({"requirements": [requirement("Near", "n")]}, "", False),
    ],
)
def test_field_selectors_are_part_of_the_question(selector: dict[str, Any], fields: str, is_understood: bool) -> None:
    asked, problem = access_reviews.question(User("bob"), selecting(**selector))
    assert asked.fields == fields
    assert (problem == "") is is_understood
