"""MutatingAdmissionPolicies: what they make of an object."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.object import Object
from pylet.server.admission.dynamic import counted
from tests.server.admission.dynamic.conftest import Dynamic, rule
from tests.server.kit import configmap, pod, refused

POLICY, BINDING = "MutatingAdmissionPolicy", "MutatingAdmissionPolicyBinding"
DENIED = "policy 'p' with binding 'b' denied request: "


def applying(expression: str) -> Object:
    return {"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": expression}}


def patching(expression: str) -> Object:
    return {"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}


async def mutating(dynamic: Dynamic, *mutations: Object, name: str = "p", binding: str = "b", **spec: Any) -> None:
    settled = {
        "matchConstraints": {"resourceRules": [rule("configmaps", "pods", operations=["CREATE", "UPDATE"])]},
        "reinvocationPolicy": "Never",
        "mutations": list(mutations),
        **spec,
    }
    await dynamic.make(POLICY, name, settled)
    await dynamic.make(BINDING, binding, {"policyName": name})


@pytest.mark.parametrize(
    ("mutation", "data"),
    [
        (applying('Object{data: {"y": "2"}}'), {"x": "1", "y": "2"}),
        (applying('Object{data: {"x": object.data.x + "!"}}'), {"x": "1!"}),
        (patching('[JSONPatch{op: "add", path: "/data/y", value: "2"}]'), {"x": "1", "y": "2"}),
        (patching('[JSONPatch{op: "remove", path: "/data/x"}]'), {}),
        (
            patching('[JSONPatch{op: "test", path: "/data/x", value: "2"}, JSONPatch{op: "remove", path: "/data/x"}]'),
            {"x": "1"},
        ),
    ],
)
async def test_an_object_is_changed(dynamic: Dynamic, mutation: Object, data: Object) -> None:
    await mutating(dynamic, mutation)
    assert (await dynamic.api.create(configmap("c", x="1"))).get("data", {}) == data


async def test_lists_are_merged_by_their_keys(dynamic: Dynamic) -> None:
    value = '[Object.spec.initContainers{name: "i", image: "registry.test/i:1"}]'
    await mutating(dynamic, applying(f"Object{{spec: Object.spec{{initContainers: {value}}}}}"))
    made = await dynamic.api.create(pod("p", initContainers=[{"name": "j", "image": "registry.test/j:1"}]))
    assert [one["name"] for one in made["spec"]["initContainers"]] == ["j", "i"]
    assert made["spec"]["initContainers"][1]["imagePullPolicy"] == "IfNotPresent"


async def test_mutations_see_those_before_them(dynamic: Dynamic) -> None:
    variables = [{"name": "x", "expression": "object.data.x"}]
    await mutating(
        dynamic,
        applying('Object{data: {"y": variables.x}}'),
        applying('Object{data: {"z": object.data.y + variables.x}}'),
        variables=variables,
    )
    name = 'apiserver_mutating_admission_policy_check_total{policy="p",policy_binding="b",error_type="no_error"}'
    before = sum(int(line.split()[-1]) for line in counted.lines() if line.startswith(name))
    assert (await dynamic.api.create(configmap("c", x="1")))["data"] == {"x": "1", "y": "1", "z": "11"}
    assert f"{name} {before + 2}" in counted.lines()


async def test_who_wants_it_is_asked_again_after_later_changes(dynamic: Dynamic) -> None:
    await mutating(
        dynamic,
        applying("Object{data: {'late': has(object.data.set) ? 'seen' : 'unseen'}}"),
        reinvocationPolicy="IfNeeded",
    )
    await mutating(dynamic, applying("Object{data: {'set': '1'}}"), name="q", binding="c")
    assert (await dynamic.api.create(configmap("c", x="1")))["data"]["late"] == "seen"


@pytest.mark.parametrize(
    ("mutation", "says"),
    [
        (
            applying('Object{spec: Object.wrong{nodeName: "n"}}'),
            'type mismatch: unexpected type name "Object.wrong", expected "Object.spec", '
            "which matches field name path from root Object type",
        ),
        (
            applying('Object{spec: Object.spec{nonsense: "n"}}'),
            "error applying patch: failed to convert patch object to typed object: .spec.nonsense: "
            "field not declared in schema",
        ),
        (
            applying('Object{spec: Object.spec{containers: [Object.spec.containers{name: "c", args: ["x"]}]}}'),
            "error applying patch: invalid ApplyConfiguration: may not mutate atomic arrays, maps or structs: "
            ".spec.containers[0].args",
        ),
        (
            patching('[JSONPatch{op: "remove", path: "/x"}]'),
            "JSON Patch: error in remove for path: '/x': Unable to remove nonexistent key: x: missing value",
        ),
    ],
)
async def test_what_cannot_be_done_refuses(dynamic: Dynamic, mutation: Object, says: str) -> None:
    await mutating(dynamic, mutation)
    status = await refused(dynamic.api.create(pod("c")))
    assert (status["code"], status["reason"], status["message"]) == (403, "Invalid", DENIED + says)
    assert status["details"]["causes"] == [{"message": DENIED + says}]


async def test_a_patch_must_not_add_what_the_schema_does_not_know(dynamic: Dynamic) -> None:
    await mutating(dynamic, patching('[JSONPatch{op: "add", path: "/unknown", value: 1}]'))
    status = await refused(dynamic.api.create(configmap("c")))
    assert (status["code"], status["message"]) == (
        500,
        'Internal error occurred: strict decoding error: unknown field "unknown"',
    )


async def test_what_cannot_be_done_may_be_ignored(dynamic: Dynamic) -> None:
    await mutating(dynamic, patching('[JSONPatch{op: "remove", path: "/x"}]'), failurePolicy="Ignore")
    await dynamic.api.create(configmap("c"))
