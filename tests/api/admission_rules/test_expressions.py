"""Expressions that do not compile, or answer with the wrong type, are refused when they are written."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.admission_rules import matching, policies
from pylet.api.object import Object

CONSTRAINTS = {
    "resourceRules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}]
}
UNDECLARED = "compilation failed: ERROR: <input>:1:1: undeclared reference to 'x' (in container '')\n | x\n | ^"


def policy(**spec: Any) -> Object:
    return {"metadata": {"name": "p"}, "spec": {"matchConstraints": CONSTRAINTS, **spec}}


def problems(found: list[Any]) -> list[tuple[str, str]]:
    return [(cause.field, cause.message.partition(": ")[2]) for cause in found]


@pytest.mark.parametrize(
    ("spec", "field", "says"),
    [
        ({"validations": [{"expression": "x"}]}, "validations[0].expression", f'"x": {UNDECLARED}'),
        ({"validations": [{"expression": "1"}]}, "validations[0].expression", '"1": must evaluate to bool but got int'),
        (
            {"validations": [{"expression": "true", "messageExpression": "1"}]},
            "validations[0].messageExpression",
            '"1": must evaluate to string but got int',
        ),
        (
            {"auditAnnotations": [{"key": "k", "valueExpression": "object.x"}]},
            "auditAnnotations[0].valueExpression",
            '"object.x": must evaluate to one of [string null_type] but got dyn',
        ),
        (
            {"validations": [{"expression": "true"}], "variables": [{"name": "v", "expression": "x"}]},
            "variables[0].expression",
            f'"x": {UNDECLARED}',
        ),
        (
            {"validations": [{"expression": "true"}], "matchConditions": [{"name": "c", "expression": "x"}]},
            "matchConditions[0].expression",
            f'"x": {UNDECLARED}',
        ),
    ],
)
def test_a_validating_policy(spec: Object, field: str, says: str) -> None:
    assert problems(policies.validating(policy(**spec))) == [(f"spec.{field}", says)]


@pytest.mark.parametrize(
    ("mutation", "field", "says"),
    [
        (
            {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "object.x"}},
            "applyConfiguration.expression",
            '"object.x": must evaluate to Object but got dyn',
        ),
        (
            {"patchType": "JSONPatch", "jsonPatch": {"expression": "1"}},
            "jsonPatch.expression",
            '"1": must evaluate to list(JSONPatch) but got int',
        ),
    ],
)
def test_a_mutating_policy(mutation: Object, field: str, says: str) -> None:
    found = policies.mutating(policy(mutations=[mutation], reinvocationPolicy="Never"))
    assert problems(found) == [(f"spec.mutations[0].{field}", says)]


def test_what_compiles_passes() -> None:
    validations = [{"expression": "variables.v > 1 && params == null", "messageExpression": "string(variables.v)"}]
    variables = [{"name": "v", "expression": "1"}]
    of = {"apiVersion": "v1", "kind": "ConfigMap"}
    assert policies.validating(policy(validations=validations, variables=variables, paramKind=of)) == []


def test_match_conditions_see_parameters_only_where_there_are_some() -> None:
    condition = {"name": "c", "expression": "params == null"}
    assert matching.validate_conditions([condition], "w", params=True) == []
    assert "undeclared reference to 'params'" in matching.validate_conditions([condition], "w")[0].message
