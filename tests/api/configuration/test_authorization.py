"""Messages as kube-apiserver 1.36 wrote them when it was started with these configurations."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.configuration.authorization import misnamed, problems, set_defaults
from pylet.api.object import Object

WEBHOOK: Object = {
    "timeout": "3s",
    "subjectAccessReviewVersion": "v1",
    "matchConditionSubjectAccessReviewVersion": "v1",
    "failurePolicy": "Deny",
    "connectionInfo": {"type": "KubeConfigFile", "kubeConfigFile": "/good"},
}


def webhook(**changes: Any) -> Object:
    return {"type": "Webhook", "name": "a", "webhook": {**WEBHOOK, **changes}}


def told(*authorizers: Object) -> list[str]:
    config: Object = {"authorizers": list(authorizers)}
    set_defaults(config)
    return [str(cause) for cause in problems(config, lambda file: "" if file == "/good" else "is bad")]


NODE = {"type": "Node", "name": "node"}


@pytest.mark.parametrize(
    ("authorizers", "why"),
    [
        ([], "authorizers: Required value: at least one authorization mode must be defined"),
        ([{}], "authorizers[0].type: Required value"),
        (
            [{"type": "Foo", "name": "x"}],
            'authorizers[0].type: Unsupported value: "Foo": supported values: "AlwaysAllow", "AlwaysDeny", "Node", '
            '"RBAC", "Webhook"',
        ),
        ([NODE, NODE], 'authorizers[1].type: Duplicate value: "Node"'),
        ([webhook(), webhook()], 'authorizers[1].name: Duplicate value: "a"'),
        ([{"type": "RBAC"}], "authorizers[0].name: Required value"),
        ([{"type": "Webhook", "name": "a"}], "authorizers[0].webhook: Required value: required when type=Webhook"),
        (
            [{**NODE, "webhook": {}}],
            'authorizers[0].webhook: Invalid value: "non-null": may only be specified when type=Webhook',
        ),
        ([webhook(timeout="0s")], "authorizers[0].timeout: Required value"),
        ([webhook(timeout="31s")], 'authorizers[0].timeout: Invalid value: "31s": must be > 0s and <= 30s'),
        ([webhook(authorizedTTL="-3ms")], 'authorizers[0].authorizedTTL: Invalid value: "-3ms": must be > 0s'),
        (
            [webhook(subjectAccessReviewVersion="v2")],
            'authorizers[0].subjectAccessReviewVersion: Unsupported value: "v2": supported values: "v1", "v1beta1"',
        ),
        (
            [webhook(matchConditionSubjectAccessReviewVersion="", matchConditions=[{"expression": "true"}])],
            "authorizers[0].matchConditionSubjectAccessReviewVersion: Required value: required if match conditions are "
            "specified",
        ),
        (
            [webhook(failurePolicy="Ignore")],
            'authorizers[0].failurePolicy: Unsupported value: "Ignore": supported values: "NoOpinion", "Deny"',
        ),
        (
            [webhook(connectionInfo={"type": "X"})],
            'authorizers[0].connectionInfo.type: Unsupported value: {"Type":"X","KubeConfigFile":null}: supported '
            'values: "InClusterConfig", "KubeConfigFile"',
        ),
        (
            [webhook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "x"})],
            'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "x": must be an absolute path',
        ),
        (
            [webhook(connectionInfo={"type": "KubeConfigFile", "kubeConfigFile": "/x"})],
            'authorizers[0].connectionInfo.kubeConfigFile: Invalid value: "/x": is bad',
        ),
        ([webhook(matchConditions=[{}])], "authorizers[0].matchConditions[0].expression: Required value"),
        (
            [webhook(matchConditions=[{"expression": "true"}] * 2)],
            'authorizers[0].matchConditions[1].expression: Duplicate value: "true"',
        ),
        (
            [webhook(matchConditions=[{"expression": "request.user"}])],
            'authorizers[0].matchConditions[0].expression: Invalid value: "request.user": must evaluate to bool but '
            "got string",
        ),
        (
            [webhook(matchConditions=[{"expression": "request.foo"}])],
            'authorizers[0].matchConditions[0].expression: Invalid value: "request.foo": compilation failed: ERROR: '
            "<input>:1:8: undefined field 'foo'\n | request.foo\n | .......^",
        ),
    ],
)
def test_what_is_wrong_is_told(authorizers: list[Object], why: str) -> None:
    assert told(*authorizers) == [why]


def test_a_good_one_has_its_defaults() -> None:
    config: Object = {"authorizers": [NODE, webhook(authorizedTTL="0s")]}
    assert told(*config["authorizers"]) == []
    set_defaults(config)
    found = config["authorizers"][1]["webhook"]
    assert (found["authorizedTTL"], found["unauthorizedTTL"]) == ("5m0s", "30s")


def test_all_but_webhooks_are_called_by_their_types() -> None:
    config = {"authorizers": [{"type": "RBAC", "name": "x"}, webhook()]}
    assert misnamed(config) == ["expected name rbac for authorizer RBAC instead of x"]
