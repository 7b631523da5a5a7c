"""The kinds that are questions: access and token reviews, answered at once and never stored.

Sources: pkg/registry/{authorization,authentication}/*/rest.go.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from pylet.api.errors import BadRequest, Cause, Invalid
from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes
from pylet.server.auth.authenticate import Authenticator, user_info
from pylet.server.auth.authorize import MASTERS, Authorizer
from pylet.server.auth.rbac import Rule
from pylet.server.auth.tokens import BadToken
from pylet.server.registry import User

_EVERYTHING = Rule(frozenset("*"), frozenset("*"), frozenset("*"))
_EVERY_PATH = Rule(frozenset("*"), urls=("*",))


class Reviews:
    def __init__(self, authenticator: Authenticator, authorizer: Authorizer) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._answers: dict[str, Callable[[Kind, Object, User, str], Object]] = {
            "SelfSubjectAccessReview": self._self_access,
            "SubjectAccessReview": self._access,
            "LocalSubjectAccessReview": self._local_access,
            "SelfSubjectRulesReview": self._rules,
            "SelfSubjectReview": self._self,
            "TokenReview": self._token,
        }

    def answer(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        """The review with its status. Raises: BadRequest, Invalid."""
        review.pop("status", None)
        review.setdefault("metadata", {})["creationTimestamp"] = None
        status = self._answers[kind.name](kind, review, user, namespace)
        return {**review, "status": status}

    def _self_access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        return self._decided(kind, review.get("spec") or {}, user)

    def _access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        spec = review.get("spec") or {}
        if not spec.get("user") and not spec.get("groups"):
            cause = Cause(
                "FieldValueInvalid", 'Invalid value: "": at least one of user or group must be specified', "spec.user"
            )
            raise Invalid(kind.group, kind.name, "", [cause])
        asked_for = User(
            spec.get("user") or "", tuple(spec.get("groups") or ()), spec.get("uid") or "", spec.get("extra") or {}
        )
        return self._decided(kind, spec, asked_for)

    def _local_access(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        asked = (review.get("spec") or {}).get("resourceAttributes") or {}
        if asked.get("namespace") != namespace:
            raise BadRequest(f"spec.resourceAttributes.namespace must match namespace: {namespace}")
        return self._access(kind, review, user, namespace)

    def _decided(self, kind: Kind, spec: Object, user: User) -> Object:
        resource, path = spec.get("resourceAttributes"), spec.get("nonResourceAttributes")
        if (resource is None) == (path is None):
            why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
            cause = Cause("FieldValueInvalid", f"Invalid value: null: {why}", "spec.resourceAttributes")
            raise Invalid(kind.group, kind.name, "", [cause])
        decision = self._authorizer.decide(_attributes(user, resource, path))
        status: Object = {"allowed": decision.allowed}
        return {**status, "reason": decision.reason} if decision.reason else status

    def _rules(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        where = (review.get("spec") or {}).get("namespace")
        if not where:
            raise BadRequest("no namespace on request")
        rules: Iterable[Rule] = self._authorizer.policy.rules_of(user, where)
        if MASTERS in user.groups:
            rules = (_EVERYTHING, _EVERY_PATH, *rules)
        resource_rules, path_rules = [], []
        for rule in rules:
            verbs = sorted(rule.verbs)
            if rule.urls:
                path_rules.append({"verbs": verbs, "nonResourceURLs": list(rule.urls)})
                continue
            found = {"verbs": verbs, "apiGroups": sorted(rule.groups), "resources": sorted(rule.resources)}
            resource_rules.append({**found, "resourceNames": sorted(rule.names)} if rule.names else found)
        return {"resourceRules": resource_rules, "nonResourceRules": path_rules, "incomplete": False}

    def _self(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        return {"userInfo": user_info(user)}

    def _token(self, kind: Kind, review: Object, user: User, namespace: str) -> Object:
        spec = review.get("spec") or {}
        if not spec.get("token"):
            raise BadRequest("token is required for TokenReview in authentication")
        try:
            found, audiences = self._authenticator.token_user(spec["token"], frozenset(spec.get("audiences") or ()))
        except BadToken as bad:
            return {"user": {}, "error": bad.told}
        return {"authenticated": True, "user": user_info(found), "audiences": list(audiences)}


def _attributes(user: User, resource: Object | None, path: Object | None) -> Attributes:
    if path is not None:
        return Attributes(user, path.get("verb") or "", path=path.get("path") or "/")
    assert resource is not None
    terms = (resource.get("fieldSelector") or {}).get("requirements") or ()
    fields = ",".join(f"{t['key']}={t['values'][0]}" for t in terms if t.get("operator") == "In" and t.get("values"))
    return Attributes(
        user,
        resource.get("verb") or "",
        resource.get("group") or "",
        resource.get("version") or "",
        resource.get("resource") or "",
        resource.get("subresource") or "",
        resource.get("namespace") or "",
        resource.get("name") or "",
        fields=(resource.get("fieldSelector") or {}).get("rawSelector") or fields,
    )
