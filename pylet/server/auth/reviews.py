"""The kinds that are questions: access and token reviews, answered at once and never stored.

Sources: pkg/registry/{authorization,authentication}/*/rest.go.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import UTC, datetime

from pylet.api.errors import BadRequest, Cause, Invalid, aggregated
from pylet.api.kind import Kind
from pylet.api.kinds.clusterrole import KIND as CLUSTER_ROLE
from pylet.api.kinds.role import KIND as ROLE
from pylet.api.object import Object
from pylet.api.timestamps import format_time
from pylet.server.auth import access_reviews
from pylet.server.auth.authenticate import Authenticator, user_info
from pylet.server.auth.authorize import Authorizer
from pylet.server.auth.node import node_of
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import Registry, User


class Reviews:
    def __init__(
        self,
        registry: Registry,
        authenticator: Authenticator,
        authorizer: Authorizer,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._registry = registry
        self._now = now
        self._answers: dict[str, Callable[[Kind, Object, User, str], Awaitable[Object]]] = {
            "SelfSubjectAccessReview": self._self_access,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._local_access,
            "SelfSubjectRulesReview": self._rules,
            "SelfSubjectReview": self._self,
            "TokenReview": self._token,
        }

    async def answer(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        """The review with its status. Raises: BadRequest, Invalid."""
        review.pop("status", None)
        head = {"kind": review.pop("kind"), "apiVersion": review.pop("apiVersion"), "metadata": {}}
        review = {**head, **review}
        status = await self._answers[kind.name](kind, review, user, namespace)
        return {**review, "status": status}

    async def _self_access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        _check(kind, access_reviews.problems(review, names_user=False))
        return await self._decided(user, review["spec"])

    async def _access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        _check(kind, access_reviews.problems(review, names_user=True))
        return await self._decided(_user_of(review["spec"]), review["spec"])

    async def _local_access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        _check(kind, access_reviews.problems(review, names_user=True, namespace=namespace))
        review["metadata"]["namespace"] = namespace
        return await self._decided(_user_of(review["spec"]), review["spec"])

    async def _decided(self, user: User, spec: Object) -> Object:
        asked, problem = access_reviews.question(user, spec)
        decision = await self._authorizer.ask(asked)
        status: Object = {"allowed": decision.allowed}
        if decision.denied:
            status["denied"] = True
        if decision.reason:
            status["reason"] = decision.reason
        if wrong := [text for text in (decision.error, problem) if text]:
            status["evaluationError"] = "; ".join(wrong)
        return status

    async def _rules(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        where = (review.get("spec") or {}).get("namespace")
        if not where:
            raise BadRequest("no namespace on request")
        review["spec"], review["metadata"] = {}, {}
        resource_rules: list[Object] = []
        path_rules: list[Object] = []
        problems: list[str] = []
        is_incomplete = False
        for type_ in (link.type for link in self._authorizer.links):
            match type_:
                case "RBAC":
                    for rule in self._rules_of(user, where):
                        (path_rules if rule.get("nonResourceURLs") else resource_rules).append(rule)
                    problems += self._authorizer.policy.unresolved(user, where)
                case "AlwaysAllow":
                    resource_rules.append({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]})
                    path_rules.append({"verbs": ["*"], "nonResourceURLs": ["*"]})
                case "Webhook":
                    is_incomplete = True
                    problems.append("webhook authorizer does not support user rule resolution")
                case "Node" if node_of(user) is not None:
                    is_incomplete = True
                    problems.append("node authorizer does not support user rule resolution")
        status: Object = {"resourceRules": resource_rules, "nonResourceRules": path_rules}
        status["incomplete"] = is_incomplete
        return {**status, "evaluationError": aggregated(problems)} if problems else status

    def _rules_of(self, user: User, namespace: str) -> Iterator[Object]:
        for role in self._authorizer.policy.roles_of(user, namespace):
            table = self._registry.table(ROLE if role.namespace else CLUSTER_ROLE)
            entry = table.entries.get(role)
            yield from (entry.object.get("rules") or ()) if entry is not None else ()

    async def _self(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        review["metadata"] = {"creationTimestamp": format_time(self._now())}
        return {"userInfo": user_info(user)}

    async def _token(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        spec = review.get("spec") or {}
        if not spec.get("token"):
            raise BadRequest("token is required for TokenReview in authentication")
        try:
            found, audiences = await self._authenticator.known(spec["token"], frozenset(spec.get("audiences") or ()))
        except BadToken as bad:
            return {"user": {}, "error": bad.told}
        return {"authenticated": True, "user": user_info(found), "audiences": list(audiences)}


def _check(kind: Kind, problems: Iterable[Cause]) -> None:
    """Raises: Invalid, which names no kind: upstream validates the internal object, which bears none."""
    if found := list(problems):
        raise Invalid(kind.group, "", "", found)


def _user_of(spec: Object) -> User:
    groups, extra = tuple(spec.get("groups") or ()), spec.get("extra") or {}
    return User(spec.get("user") or "", groups, spec.get("uid") or "", extra)
