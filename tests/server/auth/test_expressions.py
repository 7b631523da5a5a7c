"""What expressions of admission are answered when they ask the authorizer."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from pylet.api.cel.environment import admission, bindings, compile
from pylet.server.admission.dynamic.expressions import evaluated
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.authorize import Authorizer, Chain, Link
from pylet.server.auth.expressions import ask_for
from pylet.server.registry import User
from pylet.store.drivers.memory import MemoryStore
from tests.server.kit import Api, running


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with running(MemoryStore()) as api:
        yield api


class Judge:
    """Allows to get, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Attributes] = []

    async def decide(self, asked: Attributes) -> Decision:
        self.asked.append(asked)
        return Decision(asked.verb == "get", "because")


async def answered(api: Api, chain: Chain, expression: str) -> object:
    ask = ask_for(Authorizer(api.registry, chain), User("bob"))
    values = bindings(obj={}, old=None, request={"resource": {"resource": "pods"}}, ask=ask)
    program = compile(expression, admission(authorizer=True))
    return await evaluated(lambda: program.evaluate(values))


PODS = 'authorizer.group("").resource("pods")'


@pytest.mark.parametrize(
    ("expression", "asked"),
    [
        pytest.param(
            f'{PODS}.check("list").allowed() || {PODS}.labelSelector("a").fieldSelector("c=d").check("get").allowed()',
            [("list", "", ""), ("get", "a", "c=d")],
            id="one after the other",
        ),
        pytest.param(
            f'{PODS}.check("get").allowed() && {PODS}.check("get").reason() == "because"', [("get", "", "")], id="once"
        ),
    ],
)
async def test_a_judge_is_asked_what_an_expression_needs(
    api: Api, expression: str, asked: list[tuple[str, str, str]]
) -> None:
    judge = Judge()
    assert await answered(api, Chain((Link("RBAC", "rbac"), Link("Webhook", "w", judge))), expression) is True
    assert [(each.verb, each.labels, each.fields) for each in judge.asked] == asked


async def test_what_a_judge_denies_is_not_allowed_by_others(api: Api) -> None:
    class Denies:
        async def decide(self, asked: Attributes) -> Decision:
            return Decision(False, "never", denied=True, error="oops")

    chain = Chain((Link("Webhook", "w", Denies()), Link("AlwaysAllow", "alwaysallow")))
    expression = 'authorizer.path("/x").check("get")'
    assert await answered(api, chain, f"{expression}.allowed()") is False
    assert await answered(api, chain, f"{expression}.error()") == "oops"
    assert await answered(api, Chain(chain.links[1:]), f"{expression}.allowed()") is True
