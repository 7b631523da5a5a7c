from __future__ import annotations

from typing import Any

import pytest

from pylet.server.auth import default_roles
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.rbac import Policy, Rule, described
from pylet.server.registry import User

JANE = User("jane", ("dev", "system:authenticated"))
POD_READER = {"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}


def asked(text: str, user: User = JANE) -> Attributes:
    """`verb group/resource[/subresource] [namespace[/name]]`, or `verb /path`."""
    verb, what, *where = text.split(" ")
    if what.startswith("/"):
        return Attributes(user, verb, path=what)
    group, resource, subresource = (*what.split("/"), "")[:3]
    namespace, _, name = (where[0] if where else "").partition("/")
    return Attributes(user, verb, "" if group == "core" else group, "v1", resource, subresource, namespace, name)


@pytest.mark.parametrize(
    ("rule", "question", "allowed"),
    [
        (POD_READER, "get core/pods a/x", True),
        (POD_READER, "get core/pods/log a/x", True),
        (POD_READER, "get core/pods/exec a/x", False),
        (POD_READER, "delete core/pods a/x", False),
        (POD_READER, "get apps/pods a/x", False),
        ({**POD_READER, "resourceNames": ["x"]}, "get core/pods a/x", True),
        ({**POD_READER, "resourceNames": ["x"]}, "get core/pods a/y", False),
        ({**POD_READER, "resourceNames": ["x"]}, "list core/pods a", False),
        ({"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}, "patch apps/deployments/scale a/x", True),
        ({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]}, "patch apps/deployments/scale a/x", True),
        ({"apiGroups": ["*"], "resources": ["*/scale"], "verbs": ["*"]}, "patch apps/deployments a/x", False),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, "get /healthz", True),
        ({"nonResourceURLs": ["/healthz/*"], "verbs": ["get"]}, "get /healthz/ping", True),
        ({"nonResourceURLs": ["/healthz"], "verbs": ["get"]}, "get /healthz/ping", False),
        ({"nonResourceURLs": ["*"], "verbs": ["*"]}, "get core/pods a/x", False),
    ],
)
def test_a_rule_allows(rule: dict[str, Any], question: str, allowed: bool) -> None:
    assert Rule.of(rule).allows(asked(question)) is allowed


def role(name: str, *rules: dict[str, Any], namespace: str = "", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, "rules": list(rules), **more}


def binding(name: str, kind: str, to: str, *subjects: dict[str, str], namespace: str = "") -> dict[str, Any]:
    meta = {"name": name, "namespace": namespace}
    return {"metadata": meta, "roleRef": {"kind": kind, "name": to}, "subjects": list(subjects)}


def test_a_role_binding_holds_in_its_namespace_alone() -> None:
    bound = binding("b", "ClusterRole", "reader", {"kind": "Group", "name": "dev"}, namespace="a")
    policy = Policy([role("reader", POD_READER)], (), (), [bound])
    decision = policy.decide(asked("get core/pods a/x"))
    assert decision.allowed
    assert decision.reason == 'RBAC: allowed by RoleBinding "b/a" of ClusterRole "reader" to Group "dev"'
    assert not policy.decide(asked("get core/pods b/x")).allowed
    assert not policy.decide(asked("list core/pods")).allowed


def test_a_service_account_is_a_subject() -> None:
    bound = binding("b", "Role", "reader", {"kind": "ServiceAccount", "name": "bot"}, namespace="a")
    policy = Policy((), (), [role("reader", POD_READER, namespace="a")], [bound])
    assert policy.decide(asked("get core/pods a/x", User("system:serviceaccount:a:bot"))).allowed


def test_a_role_that_is_not_there_is_told() -> None:
    subject = {"kind": "Group", "name": "dev"}
    cluster = [binding("b", "ClusterRole", "gone", subject, {"kind": "User", "name": "jane"})]
    policy = Policy((), cluster, (), [binding("c", "Role", "lost", subject, namespace="a")])
    gone = 'clusterrole.rbac.authorization.k8s.io "gone" not found'
    lost = 'role.rbac.authorization.k8s.io "lost" not found'
    assert policy.decide(asked("list core/pods")).reason == f"RBAC: {gone}"
    assert policy.decide(asked("get core/pods a/x")).reason == f"RBAC: [{gone}, {lost}]"


def test_what_a_user_lacks_is_named_piece_by_piece() -> None:
    bound = binding("b", "ClusterRole", "reader", {"kind": "User", "name": "jane"})
    policy = Policy([role("reader", POD_READER)], [bound])
    wanted = [Rule.of({"apiGroups": [""], "resources": ["pods", "secrets"], "verbs": ["list", "get"]})]
    assert described(policy.missing(JANE, "", wanted)) == [
        '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
    ]


def test_public_paths_are_open_to_all_and_discovery_to_the_authenticated() -> None:
    found = default_roles.objects()
    policy = Policy(
        *([item for item in found if item["kind"] == kind] for kind in ("ClusterRole", "ClusterRoleBinding"))
    )
    nobody = User("system:anonymous", ("system:unauthenticated",))
    assert policy.decide(asked("get /version", nobody)).allowed
    assert not policy.decide(asked("get /api", nobody)).allowed
    assert not policy.decide(asked("get /.well-known/openid-configuration", nobody)).allowed
    assert policy.decide(asked("get /api")).allowed


@pytest.mark.parametrize(
    ("question", "who", "where"),
    [
        ("list core/pods y", "pods", 'list resource "pods" in API group "" in the namespace "y"'),
        ("get apps/scales y/x", 'scales.apps "x"', 'get resource "scales" in API group "apps" in the namespace "y"'),
        ("create core/pods/exec y/x", 'pods "x"', 'create resource "pods/exec" in API group "" in the namespace "y"'),
        ("list core/nodes", "nodes", 'list resource "nodes" in API group "" at the cluster scope'),
    ],
)  # fmt: skip
def test_a_refusal_is_worded_as_upstream(question: str, who: str, where: str) -> None:
    assert asked(question).forbidden().message == f'{who} is forbidden: User "jane" cannot {where}'


def test_a_refused_path_is_named() -> None:
    assert asked("get /metrics").forbidden().message == 'forbidden: User "jane" cannot get path "/metrics"'


def rule(verbs: str, resources: str = "", names: str = "", *, groups: str = "core", urls: str = "") -> Rule:
    found = [frozenset(text.split()) for text in (verbs, groups if resources else "", resources, names)]
    return Rule(*found, tuple(urls.split()))


@pytest.mark.parametrize(
    ("mine", "wanted", "is_covered"),
    [
        (rule("get list", "pods"), rule("get", "pods"), True),
        (rule("get", "pods"), rule("get list", "pods"), False),
        (rule("*", "*", groups="*"), rule("get", "pods services"), True),
        (rule("get", "pods"), rule("get", "pods", groups="other"), False),
        (rule("get", "pods"), rule("get", "pods/log"), False),
        (rule("get", "*/log"), rule("get", "pods/log"), True),
        (rule("get", "*/log"), rule("get", "pods"), False),
        (rule("get", "pods", "a b"), rule("get", "pods", "a"), True),
        (rule("get", "pods", "a"), rule("get", "pods", "a"), True),
        (rule("get", "pods", "a"), rule("get", "pods", "a b"), False),
        (rule("get", "pods", "a"), rule("get", "pods"), False),
        (rule("get", "pods"), rule("get", "pods", "a"), True),
        (rule("get", urls="/a /logs/*"), rule("get", urls="/logs/x"), True),
        (rule("get", urls="/logs/*"), rule("get", urls="/logs/* /a"), False),
        (rule("get", urls="/logs"), rule("get", urls="/logs/*"), False),
        (rule("get", "pods"), rule("get", urls="/pods"), False),
        (rule("get", urls="*"), rule("get", "pods"), False),
    ],
)
def test_what_one_may_pass_on(mine: Rule, wanted: Rule, *, is_covered: bool) -> None:
    assert all(map(mine.covers, wanted.pieces())) is is_covered
