"""Who and what others know: ID tokens, webhooks, token files, front proxies."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from pylet.server.auth.remote.asking import NoAnswer
from pylet.server.auth.remote.claims import ClaimMappings
from pylet.server.auth.remote.counted import Counted, hashed
from pylet.server.auth.remote.issuers import anonymous_at
from pylet.server.auth.remote.oidc import Issuer
from pylet.server.auth.remote.settings import BadSettings, static_tokens
from pylet.server.auth.request_header import proxied_user
from pylet.server.auth.tokens import BadToken
from pylet.server.config import ServerConfig
from pylet.server.registry import User
from tests.server.conftest import running_server, session

NOW = datetime(2026, 1, 1, tzinfo=UTC)
URL, OWN = "https://issuer.test", "https://kubernetes.default.svc"
AUDIENCES = frozenset({OWN})
RSA = rsa.generate_private_key(65537, 2048)
EC = ec.generate_private_key(ec.SECP256R1())
JWT: dict[str, Any] = {
    "issuer": {"url": URL, "audiences": ["pylet"]},
    "claimMappings": {"username": {"claim": "sub", "prefix": "oidc:"}, "groups": {"claim": "groups", "prefix": "g:"}},
}
CLAIMS = {"iss": URL, "aud": "pylet", "sub": "jane", "groups": ["dev"], "exp": NOW.timestamp() + 60}


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _number(value: int) -> str:
    return _b64(value.to_bytes((value.bit_length() + 7) // 8))


class Answers:
    """Answers what it is told; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Any] = []
        self.keys: Any = None

    async def read(self, url: str, tls: Any) -> bytes:
        return orjson.dumps(await self.get(url, tls))

    async def get(self, url: str, tls: Any) -> Any:
        self.asked.append(url)
        await asyncio.sleep(0)
        if url.endswith("openid-configuration"):
            return {"issuer": URL, "jwks_uri": f"{URL}/keys"}
        if self.keys is not None:
            return self.keys
        numbers, point = RSA.public_key().public_numbers(), EC.public_key().public_numbers()
        return {
            "keys": [
                {"kty": "RSA", "kid": "rsa", "n": _number(numbers.n), "e": _number(numbers.e)},
                {"kty": "EC", "kid": "ec", "crv": "P-256", "x": _number(point.x), "y": _number(point.y)},
                {"kty": "oct", "kid": "unknown"},
            ]
        }


def token(claims: dict[str, Any], alg: str = "RS256", kid: str = "rsa", **more: Any) -> str:
    head = f"{_b64(orjson.dumps({'alg': alg, 'kid': kid, **more}))}.{_b64(orjson.dumps(claims))}"
    if alg == "ES256":
        r, s = decode_dss_signature(EC.sign(head.encode(), ec.ECDSA(hashes.SHA256())))
        return f"{head}.{_b64(r.to_bytes(32) + s.to_bytes(32))}"
    pad = padding.PKCS1v15() if alg != "PS256" else padding.PSS(padding.MGF1(hashes.SHA256()), 32)
    return f"{head}.{_b64(RSA.sign(head.encode(), pad, hashes.SHA256()))}"


def issuer(asker: Answers | None = None, **changes: Any) -> Issuer:
    return Issuer({**JWT, **changes}, asker or Answers(), (OWN,), lambda: NOW)  # type: ignore[arg-type]


@pytest.mark.parametrize(("alg", "kid"), [("RS256", "rsa"), ("PS256", "rsa"), ("ES256", "ec")])
async def test_an_id_token_stands_for_its_user(alg: str, kid: str) -> None:
    known = await issuer().user(token(CLAIMS, alg, kid), AUDIENCES)
    assert known is not None
    assert known == (User("oidc:jane", ("g:dev", "system:authenticated")), (OWN,))


async def test_keys_are_read_once() -> None:
    asker = Answers()
    reader = issuer(asker)
    for _ in range(3):
        await reader.user(token(CLAIMS), AUDIENCES)
    assert asker.asked == [f"{URL}/.well-known/openid-configuration", f"{URL}/keys"]


async def test_what_becomes_of_tokens_and_of_an_issuers_keys_is_counted() -> None:
    asker, counted = Answers(), Counted()
    reader = Issuer(JWT, asker, (OWN,), lambda: NOW, counted=counted)  # type: ignore[arg-type]
    await reader.user(token(CLAIMS), AUDIENCES)
    assert await reader.user(token({**CLAIMS, "iss": "https://other.test"}), AUDIENCES) is None
    with pytest.raises(BadToken):
        await reader.user(token({**CLAIMS, "exp": 0}), AUDIENCES)
    asker.keys = []
    with pytest.raises(NoAnswer):
        await reader.read_keys()
    prefix, of = "apiserver_authentication_jwt_authenticator", f'jwt_issuer_hash="{hashed(URL.encode())}"'
    told = [line for line in counted.lines() if not line.startswith("#")]
    assert f'{prefix}_latency_seconds_count{{{of},result="success"}} 1' in told
    assert f'{prefix}_latency_seconds_count{{{of},result="failure"}} 1' in told
    fetched = [line for line in told if line.startswith(f"{prefix}_jwks_fetch_last_timestamp_seconds")]
    assert sorted(result for line in fetched for result in ("failure", "success") if f'"{result}"' in line) == [
        "failure",
        "success",
    ]
    assert {line.rpartition(" ")[2] for line in fetched} == {str(NOW.timestamp())}
    (keys,) = [line for line in told if line.startswith(f"{prefix}_jwks_fetch_last_key_set_info")]
    asker.keys = None
    assert f'hash="{hashed(await asker.read(f"{URL}/keys", None))}"' in keys
    counted.forget(URL)
    assert not [line for line in counted.lines() if "jwks" in line]


async def test_who_comes_while_keys_are_read_waits_for_them() -> None:
    asker = Answers()
    reader = issuer(asker)
    known = await asyncio.gather(*(reader.user(token(CLAIMS), AUDIENCES) for _ in range(3)))
    assert all(each is not None and each.user.name == "oidc:jane" for each in known)
    assert asker.asked == [f"{URL}/.well-known/openid-configuration", f"{URL}/keys"]


@pytest.mark.parametrize("keys", [[], {"keys": {}}, {"keys": [5, {"kid": []}]}], ids=str)
async def test_keys_that_are_none_let_nobody_in(keys: Any) -> None:
    asker = Answers()
    asker.keys = keys
    with pytest.raises(BadToken):
        await issuer(asker).user(token(CLAIMS), AUDIENCES)


@pytest.mark.parametrize(
    ("claims", "kid", "why"),
    [
        ({**CLAIMS, "exp": NOW.timestamp() - 1}, "rsa", "token is expired"),
        ({**CLAIMS, "exp": -1e300}, "rsa", "token is expired"),
        ({**CLAIMS, "nbf": NOW.timestamp() + 61}, "rsa", "before the nbf"),
        ({**CLAIMS, "aud": ["other"]}, "rsa", r'expected audience "\S+" got \["other"\]'),
        ({**CLAIMS, "aud": [["pylet"]]}, "rsa", "failed to unmarshal claims"),
        ({**CLAIMS, "aud": 5}, "rsa", "failed to unmarshal claims"),
        (CLAIMS, "ec", "failed to verify"),
        (CLAIMS, "nobody's", "failed to verify"),
        ({name: CLAIMS[name] for name in ("iss", "aud", "exp")}, "rsa", "claim not present"),
        (
            {**CLAIMS, "groups": [1]},
            "rsa",
            'parse groups claim "groups": json: cannot unmarshal array into Go value of',
        ),
        (
            {**CLAIMS, "sub": 3},
            "rsa",
            "failed to unmarshal claims: json: cannot unmarshal number into Go struct field ",
        ),
    ],
)
async def test_a_bad_id_token_is_refused(claims: dict[str, Any], kid: str, why: str) -> None:
    with pytest.raises(BadToken, match=why):
        await issuer().user(token(claims, kid=kid), AUDIENCES)


async def test_a_token_is_for_this_server_alone() -> None:
    assert await issuer().user(token(CLAIMS), frozenset({"somebody else"})) is None


async def test_what_is_critical_and_unknown_is_refused() -> None:
    with pytest.raises(BadToken, match="failed to verify id token signature"):
        await issuer().user(token(CLAIMS, crit=["b64"], b64=False), AUDIENCES)


async def test_an_unknown_algorithm_is_named() -> None:
    with pytest.raises(BadToken, match='got "none"'):
        await issuer().user(token(CLAIMS, "none"), AUDIENCES)


async def test_an_algorithm_that_is_no_text_is_none() -> None:
    with pytest.raises(BadToken, match='got ""'):
        await issuer().user(token(CLAIMS, ["RS256"]), AUDIENCES)  # type: ignore[arg-type]


@pytest.mark.parametrize("kid", ["", {}], ids=["none", "no text"])
async def test_who_names_no_key_may_have_used_any(kid: Any) -> None:
    known = await issuer().user(token(CLAIMS, kid=kid), AUDIENCES)
    assert known is not None
    assert known.user.name == "oidc:jane"


@pytest.mark.parametrize(
    ("anonymous", "expected"),
    [
        pytest.param(None, None, id="not told"),
        pytest.param({"enabled": True}, None, id="everywhere"),
        pytest.param({"enabled": False}, frozenset(), id="nowhere"),
        pytest.param({"enabled": True, "conditions": [{"path": "/livez"}]}, frozenset({"/livez"}), id="at some paths"),
    ],
)
def test_where_nobody_has_to_say_who_he_is(anonymous: Any, expected: frozenset[str] | None) -> None:
    assert anonymous_at({"anonymous": anonymous}) == expected


def configured(tmp_path: Path, **fields: Any) -> Path:
    file = tmp_path / "authentication.json"
    document = {"apiVersion": "apiserver.config.k8s.io/v1", "kind": "AuthenticationConfiguration"}
    file.write_bytes(orjson.dumps({**document, **fields}))
    return file


async def test_elsewhere_he_is_refused(tmp_path: Path, make_config: Callable[..., ServerConfig]) -> None:
    file = configured(tmp_path, anonymous={"enabled": True, "conditions": [{"path": "/livez"}]})
    async with (
        running_server(make_config(authentication_config=file)) as running,
        session(running.pki, certificate=False) as anyone,
    ):
        for path, status in (("/livez", 200), ("/version", 401), ("/api/v1/nodes", 401)):
            async with anyone.get(running.url + path) as found:
                assert found.status == status


async def test_a_token_of_somebody_else_is_left_to_others() -> None:
    assert await issuer().user(token({**CLAIMS, "iss": "https://other.test"}), AUDIENCES) is None
    assert await issuer().user("abc", AUDIENCES) is None


def user(claims: dict[str, Any], **jwt: Any) -> User:
    return ClaimMappings({**JWT, **jwt}).user(claims)


def test_expressions_map_claims() -> None:
    mappings = {
        "username": {"expression": "claims.sub + '@corp'"},
        "groups": {"expression": "claims.roles.split(',')"},
        "uid": {"expression": "claims.sub"},
        "extra": [{"key": "example.org/tenant", "valueExpression": "claims.tenant"}],
    }
    found = user({"sub": "jane", "roles": "a,b", "tenant": "t"}, claimMappings=mappings)
    assert found == User("jane@corp", ("a", "b"), "jane", {"example.org/tenant": ["t"]})


@pytest.mark.parametrize(
    ("claims", "extra"),
    [({"jti": "7"}, {"authentication.kubernetes.io/credential-id": ["JTI=7"]}), ({"jti": ""}, {}), ({"jti": 7}, {})],
)
def test_a_token_is_told_by_its_id(claims: dict[str, Any], extra: dict[str, list[str]]) -> None:
    assert dict(user({"sub": "jane", **claims}).extra) == extra


def test_a_claim_may_name_nobody_and_an_expression_may_not() -> None:
    assert user({"sub": ""}, claimMappings={"username": {"claim": "sub", "prefix": ""}}).name == ""
    with pytest.raises(BadToken, match="empty username via CEL expression"):
        user({"sub": ""}, claimMappings={"username": {"expression": "claims.sub"}})


@pytest.mark.parametrize(
    ("claims", "jwt", "why"),
    [
        ({"sub": "jane"}, {"claimValidationRules": [{"claim": "hd", "requiredValue": "x"}]}, "required claim hd not"),
        (
            {"sub": "jane", "hd": "y"},
            {"claimValidationRules": [{"claim": "hd", "requiredValue": "x"}]},
            "does not match. Got = y, want = x",
        ),
        (
            {"sub": "jane", "age": 3},
            {"claimValidationRules": [{"expression": "claims.age > 10", "message": "too young"}]},
            "too young",
        ),
        (
            {"sub": "jane"},
            {"userValidationRules": [{"expression": "!user.username.startsWith('oidc:')", "message": "reserved"}]},
            "reserved",
        ),
        (
            {"email": "j@x", "email_verified": False},
            {"claimMappings": {"username": {"claim": "email", "prefix": ""}}},
            "email not verified",
        ),
    ],
)
def test_rules_refuse_a_user(claims: dict[str, Any], jwt: dict[str, Any], why: str) -> None:
    with pytest.raises(BadToken, match=why):
        user(claims, **jwt)


EVALUATING = "oidc: error evaluating"
TEXTS = "expression must return a string or a list of strings"


@pytest.mark.parametrize(
    ("claims", "mappings", "why"),
    [
        ({"user": 3}, {}, f"{EVALUATING} username claim expression: username claim expression must return a string"),
        ({"user": ""}, {}, "oidc: empty username via CEL expression is not allowed"),
        ({}, {"groups": {"expression": "[1]"}}, f"{EVALUATING} group claim expression: {TEXTS}"),
        ({}, {"uid": {"claim": "uid"}}, 'oidc: parse uid claim "uid": claim not present'),
        (
            {"uid": 7},
            {"uid": {"claim": "uid"}},
            'oidc: parse uid claim "uid": json: cannot unmarshal number into Go value of type string',
        ),
        (
            {"t": {}},
            {"extra": [{"key": "a.b/c", "valueExpression": "claims.t"}]},
            f"{EVALUATING} extra claim expression: claims.t: {TEXTS}",
        ),
        (
            {},
            {"extra": [{"key": "a.b/c", "valueExpression": "claims.t"}]},
            "expression 'claims.t' resulted in error: no such key: t",
        ),
        (
            {"email": "j@x", "email_verified": "true"},
            {"username": {"claim": "email", "prefix": ""}},
            "oidc: parse 'email_verified' claim: json: cannot unmarshal string into Go value of type bool",
        ),
    ],
)
def test_why_claims_are_nobodys_is_told(claims: dict[str, Any], mappings: dict[str, Any], why: str) -> None:
    with pytest.raises(BadToken) as bad:
        user({"user": "jane", **claims}, claimMappings={"username": {"expression": "claims.user"}, **mappings})
    assert str(bad.value) == why


def test_groups_may_be_one_or_empty_texts() -> None:
    assert user({"sub": None, "groups": ["", None, "a"]}).groups == ("g:", "g:", "g:a")
    assert user({"sub": "jane", "groups": "a"}) == User("oidc:jane", ("g:a",))
    assert user({"sub": "jane", "groups": None}).groups == ()


def test_a_token_file_names_users(tmp_path: Path) -> None:
    file = tmp_path / "tokens.csv"
    file.write_text('secret,bob,7,"a,b"\nother,eve,8\n')
    assert dict(static_tokens(file)) == {
        "secret": User("bob", ("a", "b", "system:authenticated"), "7"),
        "other": User("eve", ("system:authenticated",), "8"),
    }
    file.write_text("secret,bob\n")
    with pytest.raises(BadSettings, match="line 1 has fewer"):
        dict(static_tokens(file))


def test_a_front_proxy_says_who_asks() -> None:
    headers = [("X-Remote-User", "bob"), ("X-Remote-Group", "g"), ("X-Remote-Extra-Acme.com%2Fx", "y"), ("Host", "h")]
    assert proxied_user(headers) == User("bob", ("g", "system:authenticated"), "", {"acme.com/x": ["y"]})
    assert proxied_user([("X-Remote-Group", "system:masters")]) is None
