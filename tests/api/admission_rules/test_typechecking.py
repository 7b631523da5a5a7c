"""What the type check of a policy warns of."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api import kinds
from pylet.api.admission_rules.typechecking import expression_warnings
from pylet.api.object import Object


def policy(*expressions: str, resources: tuple[str, ...] = ("deployments",), **spec: Any) -> Object:
    rule = {"apiGroups": ["apps"], "apiVersions": ["v1"], "operations": ["*"], "resources": list(resources)}
    validations = [{"expression": expression} for expression in expressions]
    return {"spec": {"matchConstraints": {"resourceRules": [rule]}, "validations": validations, **spec}}


def warnings(told: Object) -> list[Object]:
    return expression_warnings(told, [*kinds.all_kinds()])


@pytest.mark.parametrize(
    ("expression", "column", "says"),
    [
        ("object.foo > 1", 7, "undefined field 'foo'"),
        ("object.spec.replicas > '1'", 22, "found no matching overload for '_>_' applied to '(int, string)'"),
        ("object.spec == 1", 13, "found no matching overload for '_==_' applied to '(Deployment.spec, int)'"),
        ("object.spec.template.spec.overhead['cpu'] == '1'", 26, "undefined field 'overhead'"),
        ("object.metadata.managedFields[0].fieldsV1.x == 1", 42, "undefined field 'x'"),
        (
            "[object.spec.template.spec.containers[0]] == [1]",
            43,
            "found no matching overload for '_==_' applied to '(list(Deployment.spec.template.spec.containers.@idx),"
            " list(int))'",
        ),
        (
            "authorizer.requestResource.check('get').allowed()",
            11,
            "unexpected failed resolution of 'kubernetes.authorization.Authorizer'",
        ),
        ("params.data.x == 'y'", 1, "undeclared reference to 'params' (in container '')"),
        (
            "object.metadata.labels['x'] == 1",
            29,
            "found no matching overload for '_==_' applied to '(string, int)'",
        ),
    ],
)
def test_what_does_not_fit_the_schema_is_told(expression: str, column: int, says: str) -> None:
    marker = f" | {expression}\n | {'.' * (column - 1)}^\n"
    told = f"apps/v1, Kind=Deployment: ERROR: <input>:1:{column}: {says}\n{marker}"
    assert warnings(policy("true", expression)) == [{"fieldRef": "spec.validations[1].expression", "warning": told}]


@pytest.mark.parametrize(
    "expression",
    [
        "object.spec.template.spec.containers.all(c, c.ports.all(p, p.containerPort > 10))",
        "object.metadata.creationTimestamp > timestamp('2020-01-01T00:00:00Z')",
        "oldObject == null || oldObject.spec.strategy.type == 'Recreate'",
        "authorizer.group('').resource('pods').check('get').allowed()",
    ],
)
def test_what_fits_is_not_told(expression: str) -> None:
    assert warnings(policy(expression)) == []


def test_variables_and_parameters_have_types() -> None:
    told = policy(
        "variables.x > 1",
        "params.data['x'] == 1",
        variables=[{"name": "x", "expression": "object.kind"}],
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
    )
    assert [one["fieldRef"] for one in warnings(told)] == [f"spec.validations[{n}].expression" for n in (0, 1)]


def test_each_kind_is_checked_and_wildcards_are_not() -> None:
    both = warnings(policy("object.spec.paused", resources=("deployments", "daemonsets", "deployments/status")))
    assert [one["warning"].partition(":")[0] for one in both] == ["apps/v1, Kind=DaemonSet"]
    assert warnings(policy("object.nothing", resources=("*",))) == []


def test_the_group_of_all_names_is_any() -> None:
    """A policy about deployments of the core group is about none, and is checked as if it were about those of apps."""
    told = policy("object.foo == 1")
    told["spec"]["matchConstraints"]["resourceRules"][0]["apiGroups"] = [""]
    (warning,) = warnings(told)
    assert warning["warning"].startswith("apps/v1, Kind=Deployment: ERROR: ")
