"""Acting as somebody else: which rights each mode asks for, and who one then is."""

from __future__ import annotations

import asyncio
from collections.abc import Collection

import pytest

from pylet.api.errors import BadRequest, Forbidden
from pylet.server.auth.attributes import Attributes, Decision
from pylet.server.auth.impersonate import Impersonation
from pylet.server.registry import User

JANE = User("jane", ("system:authenticated",))
ON_NODE = User("system:serviceaccount:a:agent", (), "", {"authentication.kubernetes.io/node-name": ("n",)})
AUTHN = "authentication.k8s.io"


def act(rights: Collection[str], *headers: tuple[str, str], user: User = JANE) -> tuple[User, str]:
    """`rights` are `verb resource.group [namespace/]name`; raises what is asked in vain."""

    async def ask(asked: Attributes) -> Decision:
        where = f"{asked.namespace}/{asked.name}" if asked.namespace else asked.name
        return Decision(f"{asked.verb} {asked.full_resource}.{asked.group} {where}" in rights)

    asked = Attributes(user, "list", "", "v1", "pods", namespace="a")
    found = asyncio.run(Impersonation(ask).begin(asked, [(f"Impersonate-{name}", value) for name, value in headers]))
    assert found is not None
    return found


async def test_without_a_name_nobody_is_impersonated() -> None:
    async def never(question: Attributes) -> Decision:
        raise AssertionError(question)

    asked = Attributes(JANE, "list", "", "v1", "pods")
    assert await Impersonation(never).begin(asked, [("Accept", "x")]) is None
    with pytest.raises(BadRequest, match=r'Groups:\[\]string{"g"}.* without impersonating a user name'):
        await Impersonation(never).begin(asked, [("impersonate-group", "g")])


@pytest.mark.parametrize(
    ("rights", "name", "constraint", "groups"),
    [
        (["impersonate users. bob"], "bob", "", ("system:authenticated",)),
        (
            ["impersonate-on:user-info:list pods. a/", f"impersonate:user-info users.{AUTHN} bob"],
            "bob",
            "impersonate:user-info",
            ("system:authenticated",),
        ),
        (
            ["impersonate serviceaccounts. b/bot"],
            "system:serviceaccount:b:bot",
            "",
            ("system:serviceaccounts", "system:serviceaccounts:b", "system:authenticated"),
        ),
        (
            [
                "impersonate-on:serviceaccount:list pods. a/",
                f"impersonate:serviceaccount serviceaccounts.{AUTHN} b/bot",
            ],
            "system:serviceaccount:b:bot",
            "impersonate:serviceaccount",
            ("system:serviceaccounts", "system:serviceaccounts:b", "system:authenticated"),
        ),
        (
            ["impersonate-on:arbitrary-node:list pods. a/", f"impersonate:arbitrary-node nodes.{AUTHN} n"],
            "system:node:n",
            "impersonate:arbitrary-node",
            ("system:nodes", "system:authenticated"),
        ),
        (["impersonate users. system:anonymous"], "system:anonymous", "", ("system:unauthenticated",)),
    ],
)
def test_the_first_mode_that_is_allowed_decides(
    rights: list[str], name: str, constraint: str, groups: tuple[str, ...]
) -> None:
    user, by = act(rights, ("User", name))
    assert (user.name, user.groups, by) == (name, groups, constraint)


async def test_by_which_right_one_acted_before_is_asked_first() -> None:
    asked: list[str] = []

    async def ask(question: Attributes) -> Decision:
        asked.append(question.verb)
        return Decision(question.verb == "impersonate" and question.name == "bob")

    acting, wanted = Impersonation(ask), Attributes(JANE, "list", "", "v1", "pods", namespace="a")
    with pytest.raises(Forbidden, match="impersonate-on:user-info:list"):
        await acting.begin(wanted, [("Impersonate-User", "ann")])
    assert await acting.begin(wanted, [("Impersonate-User", "bob")])
    with pytest.raises(Forbidden, match='cannot impersonate resource "users"'):
        await acting.begin(wanted, [("Impersonate-User", "ann")])
    asked.clear()
    assert await acting.begin(wanted, [("Impersonate-User", "bob")])
    assert asked == ["impersonate"]


def test_an_agent_acts_as_its_own_node() -> None:
    rights = ["impersonate-on:associated-node:list pods. a/", f"impersonate:associated-node nodes.{AUTHN} *"]
    assert act(rights, ("User", "system:node:n"), user=ON_NODE)[1] == "impersonate:associated-node"
    with pytest.raises(Forbidden):
        act(rights, ("User", "system:node:m"), user=ON_NODE)


@pytest.mark.parametrize(
    ("header", "right"),
    [
        (("Group", "g"), "impersonate groups. g"),
        (("Uid", "7"), f"impersonate uids.{AUTHN} 7"),
        (("Extra-Acme.com%2Fproject", "x"), f"impersonate userextras/acme.com/project.{AUTHN} x"),
    ],
)
def test_every_part_of_an_identity_needs_its_right(header: tuple[str, str], right: str) -> None:
    named = ("User", "bob")
    assert act(["impersonate users. bob", right], named, header)[0].name == "bob"
    with pytest.raises(Forbidden):
        act(["impersonate users. bob"], named, header)


def test_nobody_becomes_a_master_by_a_constrained_right() -> None:
    rights = [
        "impersonate-on:user-info:list pods. a/",
        f"impersonate:user-info users.{AUTHN} bob",
        f"impersonate:user-info groups.{AUTHN} system:masters",
    ]
    with pytest.raises(Forbidden, match="impersonating the system:masters group is not allowed"):
        act(rights, ("User", "bob"), ("Group", "system:masters"))


def test_who_is_unauthenticated_does_not_become_authenticated() -> None:
    rights = ["impersonate users. bob", "impersonate groups. system:unauthenticated"]
    assert act(rights, ("User", "bob"), ("Group", "system:unauthenticated"))[0].groups == ("system:unauthenticated",)


async def test_who_acts_and_what_was_asked_for_it_is_counted() -> None:
    async def ask(asked: Attributes) -> Decision:
        return Decision(asked.verb == "impersonate" and asked.name == "bob")

    found = Impersonation(ask)
    asked = Attributes(JANE, "list", "", "v1", "pods")
    await found.begin(asked, [("Impersonate-User", "bob")])
    with pytest.raises(Forbidden):
        await found.begin(asked, [("Impersonate-User", "eve")])
    told = [line for line in found.metrics() if "_total{" in line]
    attempts, questions = "apiserver_impersonation_attempts", "apiserver_impersonation_authorization_attempts"
    assert told == [
        f'{attempts}_total{{decision="allowed",mode="legacy"}} 1',
        f'{attempts}_total{{decision="denied",mode=""}} 1',
        f'{questions}_total{{decision="denied",mode="user-info"}} 2',
        f'{questions}_total{{decision="allowed",mode="legacy"}} 1',
        f'{questions}_total{{decision="denied",mode="legacy"}} 1',
    ]
