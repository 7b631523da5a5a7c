"""Service accounts' tokens: who they stand for, and when they stop to be believed."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from pylet.api.errors import ApiError
from pylet.api.kinds.pod import KIND as POD_KIND
from pylet.api.kinds.secret import KIND as SECRET
from pylet.api.kinds.serviceaccount import KIND as SERVICE_ACCOUNT
from pylet.api.object import Key, Object
from pylet.server.auth.authenticate import Authenticator
from pylet.server.auth.token_requests import TokenRequests
from pylet.server.auth.tokens import BadToken, Tokens
from pylet.server.pki import Pki
from pylet.server.registry import User
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import NOW, Api, running

AUDIENCE = "https://kubernetes.default.svc"
BOT = Key("default", "bot")
TOKEN = "kubernetes.io/service-account-token"
POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "p", "namespace": "default"},
    "spec": {"serviceAccountName": "bot", "nodeName": "n", "containers": [{"name": "a", "image": "b"}]},
}


class World:
    def __init__(self, api: Api, pki: Pki) -> None:
        self.api = api
        self.now: datetime = NOW
        self.tokens = Tokens(pki.service_account, AUDIENCE, lambda: self.now)
        self.requests = TokenRequests(api.registry, self.tokens, (AUDIENCE,), lambda: self.now)
        self.authenticator = Authenticator(
            api.registry, self.tokens, (AUDIENCE,), {"s3cret": User("static")}, lambda: self.now
        )

    def ask(self, **spec: Any) -> Object:
        return self.requests.answer(BOT, {"spec": spec})

    def token(self, **spec: Any) -> str:
        return str(self.ask(**spec)["status"]["token"])

    def user(self, token: str, *audiences: str) -> User:
        return self.authenticator.token_user(token, frozenset(audiences))[0]

    def why(self, token: str, *audiences: str) -> str:
        with pytest.raises(BadToken) as bad:
            self.user(token, *audiences)
        return bad.value.told


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    pki = Pki(tmp_path)
    pki.ensure(["localhost"], NOW)
    async with running(MemoryStore()) as api:
        await api.namespace("default")
        for obj in (
            {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "bot", "namespace": "default"}},
            {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}},
            {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "namespace": "default"}},
            POD,
        ):
            await api.create(obj)
        yield World(api, pki)


def claims(token: str) -> Any:
    return orjson.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def ref(kind: str, name: str, **more: str) -> Object:
    return {"apiVersion": "v1", "kind": kind, "name": name, **more}


async def test_a_pods_token_says_pod_and_node(world: World) -> None:
    token = world.token(boundObjectRef=ref("Pod", "p"))
    private = claims(token)["kubernetes.io"]
    assert [private[part]["name"] for part in ("serviceaccount", "pod", "node")] == ["bot", "p", "n"]
    user = world.user(token)
    assert user.name == "system:serviceaccount:default:bot"
    assert user.extra["authentication.kubernetes.io/pod-name"] == ("p",)
    assert user.extra["authentication.kubernetes.io/node-name"] == ("n",)
    assert user.extra["authentication.kubernetes.io/credential-id"] == (f"JTI={claims(token)['jti']}",)


async def test_what_the_kubelet_asks_for_pods_lives_for_a_year(world: World) -> None:
    answer = world.ask(expirationSeconds=3607, boundObjectRef=ref("Pod", "p"))
    found = claims(answer["status"]["token"])
    assert found["exp"] - found["iat"] == 365 * 24 * 3600
    assert found["kubernetes.io"]["warnafter"] - found["iat"] == 3607
    assert answer["status"]["expirationTimestamp"] == "2026-01-02T04:04:12Z"
    for spec in ({"expirationSeconds": 3607}, {"boundObjectRef": ref("Pod", "p")}):
        assert "warnafter" not in claims(world.token(**spec))["kubernetes.io"]
    other = world.token(expirationSeconds=3607, boundObjectRef=ref("Pod", "p"), audiences=["vault"])
    assert "warnafter" not in claims(other)["kubernetes.io"]


async def test_a_token_ends_a_minute_after_its_time(world: World) -> None:
    token = world.token(expirationSeconds=600)
    world.now += timedelta(seconds=650)
    assert world.user(token)
    world.now += timedelta(seconds=11)
    assert world.why(token) == "[invalid bearer token, service account token has expired]"


async def test_a_token_is_for_its_audiences(world: World) -> None:
    token = world.token(audiences=["x", "y"])
    assert world.authenticator.token_user(token, frozenset({"x", "z"}))[1] == ("x",)
    assert world.why(token) == (
        '[invalid bearer token, token audiences ["x" "y"] is invalid for the target audiences '
        '["https://kubernetes.default.svc"]]'
    )


@pytest.mark.parametrize("token", ["", "abc", "a.b.c", "e30.e30.e30"])
async def test_what_is_no_token_is_said_to_be_none(world: World, token: str) -> None:
    assert world.why(token) == "invalid bearer token"


async def test_a_token_of_a_file_is_for_this_server(world: World) -> None:
    assert world.user("s3cret", AUDIENCE, "other").name == "static"
    assert world.why("s3cret", "other") == "invalid bearer token"


async def test_a_token_dies_with_what_it_is_bound_to(world: World) -> None:
    by_secret, by_pod, plain = (
        world.token(boundObjectRef=ref("Secret", "s")),
        world.token(boundObjectRef=ref("Pod", "p")),
        world.token(),
    )
    await world.api.delete(SECRET, "default", "s")
    assert world.why(by_secret) == "[invalid bearer token, service account token has been invalidated]"
    await world.api.delete(POD_KIND, "default", "p")
    assert world.user(by_pod), "it may still say goodbye"
    world.now += timedelta(seconds=120)
    assert world.why(by_pod) == "[invalid bearer token, service account token has been invalidated]"
    assert world.user(plain)
    await world.api.delete(SERVICE_ACCOUNT, "default", "bot")
    assert world.why(plain) == '[invalid bearer token, serviceaccounts "bot" not found]'


async def test_a_secrets_token_is_believed_as_long_as_the_secret_holds_it(world: World) -> None:
    token = world.tokens.legacy(world.api.registry.table(SERVICE_ACCOUNT).entries[BOT].object, "held")
    assert world.why(token) == "[invalid bearer token, Token has been invalidated]"
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": "held",
            "namespace": "default",
            "annotations": {"kubernetes.io/service-account.name": "bot"},
        },
        "type": TOKEN,
        "data": {"token": base64.b64encode(token.encode()).decode()},
    }
    held = await world.api.create(secret)
    world.now += timedelta(days=3650)
    user = world.user(token)
    assert (user.name, dict(user.extra)) == ("system:serviceaccount:default:bot", {})
    held["data"]["token"] = base64.b64encode(b"other").decode()
    await world.api.update(held)
    assert world.why(token) == "[invalid bearer token, Token does not match server's copy]"


async def test_that_a_secrets_token_was_used_is_noted_once_a_day(world: World) -> None:
    token = world.tokens.legacy(world.api.registry.table(SERVICE_ACCOUNT).entries[BOT].object, "held")
    noted = []

    async def note(secret: Key, uid: str, day: str) -> None:
        noted.append((secret, uid, day))
        labels = {"metadata": {"labels": {"kubernetes.io/legacy-token-last-used": day}}}
        await world.api.patch(SECRET, secret.namespace, secret.name, labels)

    authenticator = Authenticator(world.api.registry, world.tokens, (AUDIENCE,), {}, lambda: world.now, note_use=note)
    meta = {"name": "held", "namespace": "default", "annotations": {"kubernetes.io/service-account.name": "bot"}}
    data = {"token": base64.b64encode(token.encode()).decode()}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": TOKEN, "data": data}
    uid = (await world.api.create(secret))["metadata"]["uid"]
    for _ in range(2):
        await authenticator.known(token)
    invalid = {"metadata": {"labels": {"kubernetes.io/legacy-token-invalid-since": "2026-01-01"}}}
    await world.api.patch(SECRET, "default", "held", invalid)
    world.now += timedelta(days=1)
    with pytest.raises(BadToken, match="the token in secret default/held for service account default/bot has been"):
        await authenticator.known(token)
    today, tomorrow = (f"{NOW + timedelta(days=days):%Y-%m-%d}" for days in (0, 1))
    assert noted == [(Key("default", "held"), uid, today), (Key("default", "held"), uid, tomorrow)]
    told = "\n".join(authenticator.metrics())
    assert "serviceaccount_legacy_manual_token_uses_total 2" in told
    assert "serviceaccount_invalid_legacy_auto_token_uses_total 1" in told


@pytest.mark.parametrize(
    ("spec", "code", "why"),
    [
        ({"expirationSeconds": 0}, 422, "may not specify a duration less than 10 minutes"),
        ({"expirationSeconds": 1 << 33}, 422, "may not specify a duration larger than 2^32 seconds"),
        ({"boundObjectRef": ref("ConfigMap", "a")}, 400, "cannot bind token to object of type /v1, Kind=ConfigMap"),
        ({"boundObjectRef": {"name": "a"}}, 400, "cannot bind token to object of type /, Kind="),
        ({"boundObjectRef": ref("Pod", "nix")}, 404, 'pods "nix" not found'),
        ({"boundObjectRef": ref("Pod", "p", uid="x")}, 409, "the UID in the bound object reference (x)"),
    ],
)
async def test_a_bad_request_for_a_token_is_refused(world: World, spec: Object, code: int, why: str) -> None:
    with pytest.raises(ApiError) as refused:
        world.ask(**spec)
    assert refused.value.code == code
    assert why in refused.value.message
