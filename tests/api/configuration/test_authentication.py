"""Messages as kube-apiserver 1.36 wrote them when it was started with these configurations."""

from __future__ import annotations

from typing import Any

import pytest

from pylet.api.configuration.authentication import problems
from pylet.api.object import Object

OWN = "https://own.test"
JWT: Object = {
    "issuer": {"url": "https://a.test", "audiences": ["x"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": ""}},
}


def issuer(**changes: Any) -> Object:
    return {**JWT, "issuer": {**JWT["issuer"], **changes}}


def mapped(**changes: Any) -> Object:
    return {**JWT, "claimMappings": {**JWT["claimMappings"], **changes}}


def told(*jwt: Object, **more: Any) -> list[str]:
    found = problems({"jwt": list(jwt), **more}, (OWN,), lambda bundle: "" if bundle == "good" else "is bad")
    return [str(cause).removeprefix("jwt[0].") for cause in found]


UNVERIFIED = (
    "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression "
    "or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression"
)


@pytest.mark.parametrize(
    ("jwt", "why"),
    [
        (issuer(url=""), "issuer.url: Required value"),
        (issuer(url="http://a"), 'issuer.url: Invalid value: "http://a": URL scheme must be https'),
        (issuer(url="foo"), 'issuer.url: Invalid value: "foo": URL scheme must be https'),
        (issuer(url=":"), 'issuer.url: Invalid value: ":": parse ":": missing protocol scheme'),
        (
            issuer(url=OWN),
            f'issuer.url: Invalid value: "{OWN}": URL must not overlap with disallowed issuers: [{OWN}]',
        ),
        (
            issuer(discoveryURL="https://a.test/"),
            'issuer.discoveryURL: Invalid value: "https://a.test/": discoveryURL must be different from URL',
        ),
        (issuer(audiences=[]), "issuer.audiences: Required value: at least one jwt[0].issuer.audiences is required"),
        (issuer(audiences=[""]), "issuer.audiences[0]: Required value"),
        (
            issuer(audiences=["a", "b"]),
            'issuer.audienceMatchPolicy: Invalid value: "": audienceMatchPolicy must be MatchAny for multiple '
            "audiences",
        ),
        (issuer(certificateAuthority="x"), 'issuer.certificateAuthority: Invalid value: "<omitted>": is bad'),
        (
            {**JWT, "claimMappings": {}},
            "claimMappings.username: Required value: claim or expression is required",
        ),
        (
            mapped(username={"claim": "a", "expression": "b"}),
            """claimMappings.username: Invalid value: "": claim and expression can't both be set""",
        ),
        (
            mapped(groups={"claim": "g"}),
            "claimMappings.groups.prefix: Required value: prefix is required when claim is set. It can be set to an "
            "empty string to disable prefixing",
        ),
        (
            mapped(username={"expression": "claims.a", "prefix": ""}),
            'claimMappings.username.prefix: Invalid value: "": may not be specified when expression is set',
        ),
        (
            mapped(extra=[{"key": "foo", "valueExpression": "claims.x"}]),
            'claimMappings.extra[0].key: Invalid value: "foo": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        (
            mapped(extra=[{"key": "x.k8s.io/c", "valueExpression": "claims.x"}]),
            'claimMappings.extra[0].key: Invalid value: "x.k8s.io/c": k8s.io, kubernetes.io and their subdomains are '
            "reserved for Kubernetes use",
        ),
        (
            {**JWT, "claimValidationRules": [{"expression": "claims.x"}]},
            'claimValidationRules[0].expression: Invalid value: "claims.x": must evaluate to bool',
        ),
        (
            {**JWT, "claimValidationRules": [{"claim": "c", "message": "m"}]},
            'claimValidationRules[0].message: Invalid value: "m": may not be specified when claim is set',
        ),
        (
            {**JWT, "claimValidationRules": [{"claim": "c"}, {"claim": "c"}]},
            'claimValidationRules[1].claim: Duplicate value: "c"',
        ),
        (
            {**JWT, "userValidationRules": [{"expression": "user.foo"}]},
            'userValidationRules[0].expression: Invalid value: "user.foo": compilation failed: ERROR: <input>:1:5: '
            "undefined field 'foo'\n | user.foo\n | ....^",
        ),
        *(
            (
                mapped(username={"expression": text}),
                f"claimMappings.username.expression: Invalid value: {shown}: {UNVERIFIED}",
            )
            for text, shown in {
                "claims.email": '"claims.email"',
                'claims.?email.orValue("")': r'"claims.?email.orValue(\"\")"',
                "[1].map(x, claims.email)[0]": '"[1].map(x, claims.email)[0]"',
            }.items()
        ),
    ],
)
def test_what_is_wrong_is_told(jwt: Object, why: str) -> None:
    assert told(jwt) == [why]


@pytest.mark.parametrize(
    "jwt",
    [
        pytest.param(JWT, id="the least"),
        pytest.param(
            issuer(certificateAuthority="good", audiences=["a", "b"], audienceMatchPolicy="MatchAny"), id="all"
        ),
        pytest.param(mapped(username={"expression": 'claims["email"]'}), id="a mail address in brackets"),
        pytest.param(
            mapped(
                username={"expression": "claims.email"},
                extra=[{"key": "a.b/v", "valueExpression": "string(claims.email_verified)"}],
            ),
            id="verified where it is kept",
        ),
        pytest.param(
            {
                **mapped(username={"expression": "claims.email"}),
                "claimValidationRules": [{"expression": "claims.?email_verified.orValue(true) == true"}],
            },
            id="verified by a rule",
        ),
    ],
)
def test_what_is_right_is_taken(jwt: Object) -> None:
    assert told(jwt) == []


def test_an_issuer_is_named_once() -> None:
    assert told(JWT, JWT) == ['jwt[1].issuer.url: Duplicate value: "https://a.test"']


def test_conditions_are_for_who_may_be_nobody() -> None:
    anonymous = {"enabled": False, "conditions": [{"path": "/x"}]}
    why = "enabled should be set to true when conditions are defined"
    assert told(anonymous=anonymous) == [f'anonymous.conditions: Invalid value: [{{"Path":"/x"}}]: {why}']
