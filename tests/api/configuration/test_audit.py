"""Messages as kube-apiserver 1.36 wrote them when it was started with these policies."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pylet.api.configuration.audit import read
from pylet.api.configuration.decoding import BadConfiguration

HEAD = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy"}


def policy(*rules: Any, **fields: Any) -> bytes:
    return orjson.dumps({**HEAD, **fields, "rules": [{"level": "None", **rule} for rule in rules]})


STAGES = "allowed stages are RequestReceived,ResponseStarted,ResponseComplete,Panic"


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (policy(), "loaded illegal policy with 0 rules"),
        (
            orjson.dumps({**HEAD, "apiVersion": "audit.k8s.io/v2"}),
            'failed decoding: no kind "Policy" is registered for version "audit.k8s.io/v2"',
        ),
        (
            policy({"level": 1}),
            "failed decoding: json: cannot unmarshal number into Go struct field PolicyRule.rules.level of type "
            "v1.Level",
        ),
        (policy({"level": ""}), "rules[0].level: Required value"),
        (
            policy({"level": "All"}),
            'rules[0].level: Unsupported value: "All": supported values: "None", "Metadata", "Request", '
            '"RequestResponse"',
        ),
        (
            policy({"nonResourceURLs": ["*", "/*", "*a"]}),
            "[rules[0].nonResourceURLs[2]: Invalid value: \"*a\": non-resource URL rules must begin with a '/' "
            "character, "
            "rules[0].nonResourceURLs[2]: Invalid value: \"*a\": non-resource URL wildcards '*' must be the final "
            "character of the rule]",
        ),
        (
            policy({"nonResourceURLs": ["/a"], "namespaces": ["a"]}),
            'rules[0].nonResourceURLs: Invalid value: ["/a"]: rules cannot apply to both regular resources and '
            "non-resource URLs",
        ),
        (policy({"omitStages": ["Never"]}), f'rules[0].omitStages[0]: Invalid value: "Never": {STAGES}'),
        (policy({}, omitStages=["Never"]), f'omitStages[0]: Invalid value: "Never": {STAGES}'),
        (
            policy({"resources": [{"resourceNames": ["a"]}]}),
            'rules[0].resources.resourceNames: Invalid value: ["a"]: using resourceNames requires at least one '
            "resource",
        ),
    ],
)
def test_a_bad_policy_is_refused(raw: bytes, why: str) -> None:
    with pytest.raises(BadConfiguration) as refused:
        read(raw)
    assert str(refused.value) == why


def test_a_group_is_no_version() -> None:
    with pytest.raises(
        BadConfiguration, match=r'rules\[0\].resources.group: Invalid value: "apps/v1": a lowercase RFC'
    ):
        read(policy({"resources": [{"group": "*"}, {"group": "apps/v1"}]}))


def test_what_is_odd_is_passed_over() -> None:
    found, odd = read(policy({"foo": 1}))
    assert found["rules"] == [{"level": "None"}]
    assert odd == 'strict decoding error: unknown field "rules[0].foo"'
