"""What expressions of authorizing webhooks see: the question that is asked, as a SubjectAccessReview puts it.

Source: apiserver pkg/authorization/cel/{compile,matcher}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from pylet.api.cel import types as t
from pylet.api.cel.environment import BOOL, Environment, compile, object_type
from pylet.api.cel.errors import CelError
from pylet.api.cel.program import Program
from pylet.api.errors import aggregated
from pylet.api.object import Object

_ATTRIBUTES = ("namespace", "verb", "group", "version", "resource", "subresource", "name")


class Failed(Exception):
    """Conditions have no value; the message says why, as upstream does."""


def compile_condition(expression: str) -> Program:
    """Raises: Unfit."""
    return compile(expression, _environment(), (BOOL,))


@cache
def _environment() -> Environment:
    requirement = {"key": "string", "operator": "string", "values": "list(string)"}
    requirements = t.list_of(object_type("kubernetes.SelectorRequirement", requirement))
    selectors = {
        f"{name}Selector": object_type(
            f"kubernetes.{name.title()}SelectorAttributes", {"rawSelector": "string", "requirements": requirements}
        )
        for name in ("field", "label")
    }
    resource = object_type("kubernetes.ResourceAttributes", {**dict.fromkeys(_ATTRIBUTES, "string"), **selectors})
    path = object_type("kubernetes.NonResourceAttributes", {"path": "string", "verb": "string"})
    spec: dict[str, t.Type | str] = {
        "resourceAttributes": resource,
        "nonResourceAttributes": path,
        "user": "string",
        "groups": "list(string)",
        "extra": "map(string, list(string))",
        "uid": "string",
    }
    return Environment({"request": object_type("kubernetes.SubjectAccessReviewSpec", spec)})


def hold(conditions: Iterable[Program], spec: Object) -> bool:
    """Whether all are true of a SubjectAccessReview's `spec`: one that is false decides, whatever is wrong with others.

    Raises: Failed.
    """
    request: dict[str, Any] = {"user": "", "groups": [], "uid": "", "extra": {}, **spec}
    if resource := spec.get("resourceAttributes"):
        request["resourceAttributes"] = {**dict.fromkeys(_ATTRIBUTES, ""), **resource}
    wrong: Sequence[str] = []
    for condition in conditions:
        try:
            if not condition.evaluate({"request": request}):
                return False
        except CelError as bad:
            wrong = [*wrong, f"cel evaluation error: expression '{condition.source}' resulted in error: {bad}"]
    if wrong:
        raise Failed(aggregated(wrong))
    return True
