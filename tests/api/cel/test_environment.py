"""The environments of admission policies and device selectors."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.cel import environment
from pylet.api.cel.environment import BOOL, OBJECT, Unfit, admission
from pylet.api.cel.library.authorizer import Decision, Question
from pylet.api.cel.program import Budget
from pylet.api.cel.values import Struct

ASKED: list[Question] = []


def ask(question: Question) -> Decision:
    ASKED.append(question)
    return Decision(question.verb == "get", "because")


def bindings() -> dict[str, Any]:
    return environment.bindings(
        obj={"metadata": {"labels": {"a/b": "c"}}, "spec": {"replicas": 3}},
        old=None,
        request={
            "operation": "CREATE",
            "namespace": "ns",
            "resource": {"group": "apps", "version": "v1", "resource": "deployments"},
            "userInfo": {"username": "ann", "groups": ["dev"]},
        },
        namespace={"metadata": {"name": "ns", "creationTimestamp": "2020-01-01T00:00:00Z"}},
        params={"most": 5},
        ask=ask,
    )


TRUE = {
    "object": "object.spec.replicas <= params.most",
    "labels": "object.metadata.labels['a/b'] == 'c'",
    "no old object": "oldObject == null",
    "request": "request.userInfo.username == 'ann' && 'dev' in request.userInfo.groups",
    "namespace": "namespaceObject.metadata.creationTimestamp < timestamp('2021-01-01T00:00:00Z')",
    "own resource": "authorizer.requestResource.check('get').allowed()",
    "another": "authorizer.group('').resource('pods').namespace('n').check('list').reason() == 'because'",
    "as somebody else": "!authorizer.serviceAccount('n', 's').path('/x').check('post').allowed()",
}


@pytest.mark.parametrize("source", TRUE.values(), ids=TRUE.keys())
def test_true(source: str) -> None:
    program = environment.compile(source, admission(params=True, authorizer=True), [BOOL])
    assert program.evaluate(bindings()) is True


def test_what_the_authorizer_is_asked() -> None:
    ASKED.clear()
    source = "authorizer.requestResource.check('get').allowed()"
    environment.compile(source, admission(authorizer=True)).evaluate(bindings())
    assert [Question(verb="get", group="apps", resource="deployments", namespace="ns")] == ASKED


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("request.nope", "compilation failed: ERROR: <input>:1:8: undefined field 'nope'"),
        ("1", "must evaluate to bool but got int"),
        ("params.x == 1", "undeclared reference to 'params' (in container '')"),
        ("'a'.find('(') == ''", "program instantiation failed: error parsing regexp: missing closing ): `(`"),
    ],
)
def test_refused(source: str, says: str) -> None:
    with pytest.raises(Unfit) as refused:
        environment.compile(source, admission(), [BOOL])
    assert says in str(refused.value)


def test_objects_and_patches_are_constructed() -> None:
    patches = admission(patches=True)
    built = environment.compile("Object{spec: Object.spec{replicas: object.spec.replicas + 1}}", patches, [OBJECT])
    value = built.evaluate(bindings())
    assert (type(value), value.name) == (Struct, "Object")
    assert environment.to_json(value) == {"spec": {"replicas": 4}}
    source = "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: {'x': 1}}]"
    patch = environment.compile(source, patches).evaluate(bindings())
    assert environment.to_json(patch) == [{"op": "add", "path": "/metadata/labels/a~1b", "value": {"x": 1}}]


def test_variables_are_evaluated_once_and_charged() -> None:
    first = environment.compile("object.spec.replicas", admission())
    second = environment.compile("variables.r * 2", admission().with_variables({"r": first.type}))
    scope, budget = bindings(), Budget()
    variables = environment.Variables({"r": first, "twice": second}, scope, budget)
    kinds = {"r": first.type, "twice": second.type}
    program = environment.compile("variables.twice + variables.r == 9", admission().with_variables(kinds))
    assert program.evaluate({**scope, "variables": variables}, budget) is True
    assert dict(variables) == {"r": 3, "twice": 6}
    assert budget.remaining < Budget().remaining


def test_a_device_is_selected() -> None:
    source = (
        "device.driver == 'd.example' && device.attributes['d.example'].model == 'x' && "
        "device.capacity['d.example'].memory.isGreaterThan(quantity('1Gi')) && "
        "!has(device.attributes['other'].y)"
    )
    device = {"attributes": {"model": {"string": "x"}}, "capacity": {"memory": {"value": "2Gi"}}}
    program = environment.compile(source, environment.device_selector(), [BOOL])
    assert program.evaluate(environment.device_bindings("d.example", device)) is True
