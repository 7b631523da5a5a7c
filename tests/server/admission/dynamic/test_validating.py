"""ValidatingAdmissionPolicies: what they say of a write, and what becomes of it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pylet.api.kinds.configmap import KIND as CONFIG_MAP
from pylet.api.kinds.namespace import KIND as NAMESPACE
from pylet.api.object import Object
from pylet.server.admission.dynamic import counted
from tests.server.admission.dynamic.conftest import Dynamic, rule
from tests.server.kit import configmap, refused

POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
DENIED = "configmaps \"c\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: "


async def police(
    dynamic: Dynamic, *validations: Any, binding: Object | None = None, constraints: Object | None = None, **spec: Any
) -> None:
    """Policy `p`, bound by `b`; validations are expressions or whole."""
    settled = [one if isinstance(one, dict) else {"expression": one} for one in validations]
    matched = {"resourceRules": [rule("configmaps", "namespaces")], **(constraints or {})}
    await dynamic.make(POLICY, "p", {"matchConstraints": matched, "validations": settled, **spec})
    await dynamic.make(BINDING, "b", {"policyName": "p", "validationActions": ["Deny"], **(binding or {})})


@pytest.mark.parametrize(
    ("validation", "code", "reason", "says"),
    [
        ("object.data.x == '2'", 422, "Invalid", "failed expression: object.data.x == '2'"),
        ({"expression": "false", "message": " no \n"}, 422, "Invalid", "no"),
        ({"expression": "false", "reason": "Forbidden"}, 403, "Forbidden", "failed expression: false"),
        (
            {"expression": "false", "reason": "RequestEntityTooLarge"},
            413,
            "RequestEntityTooLarge",
            "failed expression: false",
        ),
        ({"expression": "false", "messageExpression": "'x is ' + object.data.x"}, 422, "Invalid", "x is 1"),
        ({"expression": "false", "message": "no", "messageExpression": "string(object.y)"}, 422, "Invalid", "no"),
        ({"expression": "false", "message": "no", "messageExpression": "'two\\nlines'"}, 422, "Invalid", "no"),
        (
            "object.data.missing == ''",
            422,
            "Invalid",
            "expression 'object.data.missing == ''' resulted in error: no such key: missing",
        ),
    ],
)
async def test_a_policy_denies_with_its_own_words(
    dynamic: Dynamic, validation: Any, code: int, reason: str, says: str
) -> None:
    await police(dynamic, validation)
    status = await refused(dynamic.api.create(configmap("c", x="1")))
    assert (status["code"], status["reason"], status["message"]) == (code, reason, DENIED + says)
    assert status["details"] == {
        "name": "c",
        "kind": "configmaps",
        "causes": [{"message": status["message"].partition(" is forbidden: ")[2]}],
    }


@pytest.mark.parametrize(
    ("validations", "spec"),
    [
        pytest.param(["object.data.x == '1'"], {}, id="what it asks for is so"),
        pytest.param(["object.data.missing == ''"], {"failurePolicy": "Ignore"}, id="it fails and may"),
        pytest.param(
            ["variables.x == '1'"], {"variables": [{"name": "x", "expression": "object.data.x"}]}, id="by a variable"
        ),
        pytest.param(
            ["variables.y == 3"],
            {"variables": [{"name": "x", "expression": "1"}, {"name": "y", "expression": "variables.x + 2"}]},
            id="by a variable of a variable",
        ),
        pytest.param(
            ["false"],
            {"matchConditions": [{"name": "c", "expression": "request.operation == 'DELETE'"}]},
            id="a condition does not hold",
        ),
        pytest.param(["namespaceObject.metadata.name == 'a'"], {}, id="it reads the namespace"),
        pytest.param(["request.userInfo.username == 'system:apiserver'"], {}, id="it reads the request"),
        pytest.param(["oldObject == null && params == null"], {"paramKind": {"apiVersion": "v1", "kind": "Secret"}}),
    ],
)
async def test_a_write_passes(dynamic: Dynamic, validations: list[str], spec: Object) -> None:
    await police(dynamic, *validations, **spec)
    await dynamic.api.create(configmap("c", x="1"))


@pytest.mark.parametrize(
    "constraints",
    [
        {"resourceRules": [rule("secrets")]},
        {"resourceRules": [rule("configmaps", operations=["UPDATE"])]},
        {"resourceRules": [rule("configmaps", scope="Cluster")]},
        {"resourceRules": [rule("configmaps/status")]},
        {"resourceRules": [rule("configmaps", resourceNames=["other"])]},
        {"excludeResourceRules": [rule("*", resourceNames=["c"])]},
        {"objectSelector": {"matchLabels": {"x": "y"}}},
        {"namespaceSelector": {"matchExpressions": [{"key": "k", "operator": "Exists"}]}},
    ],
)
async def test_what_a_policy_is_not_about_passes(dynamic: Dynamic, constraints: Object) -> None:
    await police(dynamic, "false", constraints=constraints)
    await dynamic.api.create(configmap("c"))


async def test_a_binding_narrows_its_policy(dynamic: Dynamic) -> None:
    await police(dynamic, "false", binding={"matchResources": {"objectSelector": {"matchLabels": {"x": "y"}}}})
    await dynamic.api.create(configmap("other"))
    chosen = configmap("c")
    chosen["metadata"]["labels"] = {"x": "y"}
    await refused(dynamic.api.create(chosen))


async def test_bindings_warn_and_audit_without_refusing(dynamic: Dynamic) -> None:
    await police(dynamic, "true", "false", binding={"validationActions": ["Warn", "Audit"]})
    request = dynamic.api.request("create", CONFIG_MAP, "a")
    await dynamic.api.registry.create(request, configmap("c"))
    assert request.warnings == [
        "Validation failed for ValidatingAdmissionPolicy 'p' with binding 'b': failed expression: false"
    ]
    told = orjson.loads(request.annotations["validation.policy.admission.k8s.io/validation_failure"])
    assert told == [
        {
            "message": "failed expression: false",
            "policy": "p",
            "binding": "b",
            "expressionIndex": 1,
            "validationActions": ["Warn", "Audit"],
        }
    ]
    of = 'apiserver_validating_admission_policy_check_total{policy="p",policy_binding="b",error_type="invalid_error"'
    assert any(line.startswith(f'{of},enforcement_action="warn"}}') for line in counted.lines())


async def test_audit_annotations_are_told(dynamic: Dynamic) -> None:
    annotations = [
        {"key": "name", "valueExpression": "'it is ' + object.metadata.name"},
        {"key": "none", "valueExpression": "null"},
    ]
    await police(dynamic, auditAnnotations=annotations)
    request = dynamic.api.request("create", CONFIG_MAP, "a")
    await dynamic.api.registry.create(request, configmap("c"))
    assert request.annotations == {"p/name": "it is c"}


@pytest.mark.parametrize(
    ("ref", "says"),
    [
        ({"name": "limits"}, None),
        ({"name": "limits", "namespace": "a"}, None),
        ({"selector": {"matchLabels": {"kind": "limits"}}}, None),
        ({"name": "strict"}, "failed expression: object.data.x <= params.data.most"),
        ({"selector": {}}, "failed expression: object.data.x <= params.data.most"),
        ({"name": "missing", "parameterNotFoundAction": "Allow"}, None),
        (
            {"name": "missing"},
            "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction",
        ),
    ],
)
async def test_parameters_are_found(dynamic: Dynamic, ref: Object, says: str | None) -> None:
    labelled = configmap("limits", most="5")
    labelled["metadata"]["labels"] = {"kind": "limits"}
    await dynamic.api.create(labelled)
    await dynamic.api.create(configmap("strict", most="0"))
    await police(
        dynamic,
        "object.data.x <= params.data.most",
        paramKind={"apiVersion": "v1", "kind": "ConfigMap"},
        binding={"paramRef": {"parameterNotFoundAction": "Deny", **ref}},
        constraints={"resourceRules": [rule("configmaps", resourceNames=["c"])]},
    )
    made = dynamic.api.create(configmap("c", x="1"))
    if says is None:
        await made
    else:
        assert (await refused(made))["message"] == DENIED + says


async def test_an_unknown_kind_of_parameters_refuses(dynamic: Dynamic) -> None:
    await police(dynamic, "true", paramKind={"apiVersion": "rules.test/v1", "kind": "Rule"})
    status = await refused(dynamic.api.create(configmap("c")))
    says = "failed to configure policy: failed to find resource referenced by paramKind: 'rules.test/v1, Kind=Rule'"
    assert status["message"].endswith(f"ValidatingAdmissionPolicy 'p' denied request: {says}")


async def test_a_namespace_has_no_namespace_of_its_own(dynamic: Dynamic) -> None:
    await police(dynamic, "namespaceObject == null && request.namespace == 'n'")
    await dynamic.api.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n"}})
    await dynamic.api.patch(NAMESPACE, "", "n", {"metadata": {"labels": {"x": "y"}}})


async def test_deletions_are_judged(dynamic: Dynamic) -> None:
    await dynamic.api.create(configmap("c", keep="1"))
    await police(dynamic, "request.operation != 'DELETE' || !has(oldObject.data.keep)")
    status = await refused(dynamic.api.delete(CONFIG_MAP, "a", "c"))
    assert status["message"].startswith(DENIED)


async def test_no_policy_costs_more_than_its_budget(dynamic: Dynamic) -> None:
    numbers = str(list(range(200)))
    await police(dynamic, f"{numbers}.all(a, {numbers}.all(b, {numbers}.all(c, a + b + c >= 0)))")
    status = await refused(dynamic.api.create(configmap("c")))
    assert "operation cancelled: actual cost limit exceeded" in status["message"]


async def test_policies_judge_webhooks_configurations_but_no_policies(dynamic: Dynamic) -> None:
    everything = {"resourceRules": [{**rule("*"), "apiGroups": ["*"]}]}
    await police(dynamic, "false", constraints=everything)
    await dynamic.make(POLICY, "another", {"matchConstraints": everything, "validations": [{"expression": "true"}]})
    status = await refused(dynamic.configure("ValidatingWebhookConfiguration", {"rules": [rule("pods")]}))
    assert status["message"].endswith("failed expression: false")
