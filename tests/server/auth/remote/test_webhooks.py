"""Webhooks that know tokens and rights: what they are asked, when they are asked again, and what is made of answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import web

from pylet.aio.clock import VirtualClock
from pylet.client.kubeconfig import Endpoint
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.remote.access_webhook import AccessWebhook, Counted, spec_of
from pylet.server.auth.remote.asking import Asker
from pylet.server.auth.remote.token_webhook import TokenWebhook
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

OWN = "https://kubernetes.default.svc"
AUDIENCES = frozenset({OWN})
ASKED = Attributes(User("bob"), "get", "", "v1", "pods", namespace="a")
WEBHOOK = {
    "subjectAccessReviewVersion": "v1",
    "timeout": "3s",
    "failurePolicy": "NoOpinion",
    "authorizedTTL": "5m0s",
    "unauthorizedTTL": "30s",
}


class Hook:
    """Answers the reviews it is sent with `status`, or with `answers` first; `asked` are they."""

    def __init__(self) -> None:
        self.status: Any = {}
        self.answers: list[web.Response] = []
        self.asked: list[Any] = []
        self.clock = VirtualClock()
        self.asker = Asker(self.clock)
        self.target = Endpoint("")
        self.counted = Counted()

    async def serve(self, request: web.BaseRequest) -> web.Response:
        review = await request.json()
        self.asked.append(review)
        head = {"kind": review["kind"], "apiVersion": review["apiVersion"]}
        return self.answers.pop(0) if self.answers else web.json_response({**head, "status": self.status})

    def of_access(self, **changes: Any) -> AccessWebhook:
        return AccessWebhook("hook", {**WEBHOOK, **changes}, self.target, self.asker, self.clock, self.counted)

    def of_tokens(self, version: str = "v1") -> TokenWebhook:
        return TokenWebhook(self.target, self.asker, self.clock, version, (OWN,))

    async def moved(self, asking: Any) -> Any:
        """What `asking` comes to, while time passes."""
        task = asyncio.ensure_future(asking)
        while not task.done():
            await asyncio.sleep(0.001)  # the loop's own time, for sockets
            await self.clock.advance(1)
        return await task


@pytest.fixture
async def hook() -> AsyncIterator[Hook]:
    hook = Hook()
    server = web.Server(hook.serve)
    listener = await asyncio.get_running_loop().create_server(server, "127.0.0.1", 0)
    hook.target = Endpoint(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/authz", token="secret")
    yield hook
    await hook.asker.close()
    listener.close()
    await server.shutdown()


def test_the_question_is_put_as_a_review() -> None:
    user = User("bob", ("g",), "7", {"scope": ("a", "b")})
    asked = Attributes(user, "list", "apps", "v1", "sets", fields="a!=b,metadata.name=n", labels="x in (y),!z,n>1")
    assert spec_of(asked) == {
        "user": "bob",
        "groups": ["g"],
        "uid": "7",
        "extra": {"scope": ["a", "b"]},
        "resourceAttributes": {
            "verb": "list",
            "group": "apps",
            "version": "v1",
            "resource": "sets",
            "fieldSelector": {
                "requirements": [
                    {"key": "a", "operator": "NotIn", "values": ["b"]},
                    {"key": "metadata.name", "operator": "In", "values": ["n"]},
                ]
            },
            "labelSelector": {
                "requirements": [
                    {"key": "x", "operator": "In", "values": ["y"]},
                    {"key": "z", "operator": "DoesNotExist"},
                ]
            },
        },
    }
    assert spec_of(Attributes(User("bob"), "get", path="/x")) == {
        "user": "bob",
        "nonResourceAttributes": {"path": "/x", "verb": "get"},
    }


@pytest.mark.parametrize(
    ("status", "decision"),
    [
        ({"allowed": True, "reason": "friend"}, Decision(True, "friend")),
        ({"denied": True, "reason": "foe"}, Decision(False, "foe", denied=True)),
        ({"reason": "who?"}, Decision(False, "who?")),
        (
            {"allowed": True, "denied": True},
            Decision(
                False,
                denied=True,
                error="webhook subject access review returned both allow and deny response",
            ),
        ),
    ],
)
async def test_an_answer_decides_and_is_remembered(hook: Hook, status: Any, decision: Decision) -> None:
    hook.status, webhook = status, hook.of_access()
    assert [await webhook.decide(ASKED), await webhook.decide(ASKED)] == [decision] * 2
    assert len(hook.asked) == 1
    await hook.clock.advance(301)
    await webhook.decide(ASKED)
    assert len(hook.asked) == 2


async def test_nothing_is_remembered_that_shall_not_be(hook: Hook) -> None:
    hook.status, webhook = {"allowed": True}, hook.of_access(cacheAuthorizedRequests=False)
    for _ in range(2):
        await webhook.decide(ASKED)
    assert len(hook.asked) == 2


async def test_an_old_version_names_groups_otherwise(hook: Hook) -> None:
    hook.status = {"allowed": True}
    asked = ASKED._replace(user=User("bob", ("g",)))
    assert (await hook.of_access(subjectAccessReviewVersion="v1beta1").decide(asked)).allowed
    (review,) = hook.asked
    assert review["apiVersion"] == "authorization.k8s.io/v1beta1"
    assert (review["spec"]["group"], "groups" in review["spec"]) == (["g"], False)


TEXT = {"content_type": "text/plain", "text": "nope"}


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        pytest.param(
            lambda: web.Response(status=400, **TEXT), "the server rejected our request for an unknown reason", id="400"
        ),
        pytest.param(
            lambda: web.json_response({"kind": "Pod", "apiVersion": "v1"}),
            "converting (v1.Pod) to (v1.SubjectAccessReview): unknown conversion",
            id="a Pod",
        ),
        pytest.param(
            lambda: web.json_response({"status": {"allowed": "yes"}}),
            "json: cannot unmarshal string into Go struct field SubjectAccessReviewStatus.status.allowed of type bool",
            id="a wrong type",
        ),
    ],
)
@pytest.mark.parametrize("policy", ["NoOpinion", "Deny"])
async def test_what_is_no_answer_fails_as_it_shall(
    hook: Hook, answer: Callable[[], web.Response], error: str, policy: str
) -> None:
    hook.answers.append(answer())
    found = await hook.of_access(failurePolicy=policy).decide(ASKED)
    assert found == Decision(False, denied=policy == "Deny", error=error)
    assert hook.counted.opened.value("hook", "error") == (policy == "NoOpinion")


async def test_a_server_in_trouble_is_asked_again(hook: Hook) -> None:
    hook.answers = [web.Response(status=500, **TEXT), web.Response(status=429, **TEXT)]
    hook.status = {"allowed": True}
    assert (await hook.moved(hook.of_access().decide(ASKED))).allowed
    assert len(hook.asked) == 3
    assert hook.counted.asked.value("hook", "error") == 2


async def test_it_is_not_asked_for_ever(hook: Hook) -> None:
    hook.answers = [web.Response(status=500, **TEXT) for _ in range(9)]
    found = await hook.moved(hook.of_access().decide(ASKED))
    assert found.error == 'an error on the server ("nope") has prevented the request from succeeding'
    assert len(hook.asked) == 5


async def test_credentials_are_for_who_can_be_trusted(hook: Hook) -> None:
    assert hook.target.token
    seen: list[str | None] = []

    async def serve(request: web.BaseRequest) -> web.Response:
        seen.append(request.headers.get("Authorization"))
        return web.json_response({})

    listener = await asyncio.get_running_loop().create_server(web.Server(serve), "127.0.0.1", 0)
    hook.target = Endpoint(f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", token="secret")
    await hook.of_access().decide(ASKED)
    assert seen == [None]
    listener.close()


@pytest.mark.parametrize(
    ("conditions", "decision", "times"),
    [
        (["request.user == 'bob'", "request.resourceAttributes.resource == 'pods'"], Decision(True), 1),
        (["request.user == 'eve'"], Decision(False), 0),
        (["request.extra['x'] == []", "request.user == 'eve'"], Decision(False), 0),
        (
            ["request.user == 'bob'", "request.extra['x'] == []"],
            Decision(
                False,
                denied=True,
                error="cel evaluation error: expression 'request.extra['x'] == []' resulted in error: no such key: x",
            ),
            0,
        ),
        (["request.uid == '' && request.resourceAttributes.name == ''"], Decision(True), 1),
        (["!has(request.nonResourceAttributes)"], Decision(True), 1),
    ],
)
async def test_conditions_tell_who_asks_it(hook: Hook, conditions: list[str], decision: Decision, times: int) -> None:
    hook.status = {"allowed": True}
    webhook = hook.of_access(failurePolicy="Deny", matchConditions=[{"expression": one} for one in conditions])
    assert await webhook.decide(ASKED) == decision
    assert len(hook.asked) == times


async def test_a_webhook_knows_tokens_and_is_asked_once(hook: Hook) -> None:
    hook.status = {"authenticated": True, "user": {"username": "bob", "uid": "7", "groups": ["x"]}}
    webhook = hook.of_tokens("v1beta1")
    for _ in range(2):
        known = await webhook.user("secret", AUDIENCES)
        assert known == (User("bob", ("x", "system:authenticated"), "7"), (OWN,))
    (review,) = hook.asked
    assert review["apiVersion"] == "authentication.k8s.io/v1beta1"
    assert review["spec"] == {"token": "secret", "audiences": [OWN]}


async def test_a_reason_against_a_token_is_told_and_not_remembered(hook: Hook) -> None:
    hook.status, webhook = {"error": "no such token"}, hook.of_tokens()
    for _ in range(2):
        with pytest.raises(BadToken, match="no such token"):
            await webhook.user("secret", AUDIENCES)
    assert len(hook.asked) == 2


async def test_a_token_without_audiences_is_for_this_server_alone(hook: Hook) -> None:
    hook.status = {"authenticated": True, "user": {"username": "bob"}}
    known = await hook.of_tokens().user("secret", frozenset({OWN, "other"}))
    assert known is not None
    assert known.audiences == (OWN,)
    assert await hook.of_tokens().user("secret", frozenset({"other"})) is None


@pytest.mark.parametrize("status", [{}, {"authenticated": True, "audiences": ["other"], "user": {}}])
async def test_a_token_it_does_not_know_is_left_to_others(hook: Hook, status: Any) -> None:
    hook.status = status
    assert await hook.of_tokens().user("secret", AUDIENCES) is None
