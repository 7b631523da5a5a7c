"""RBAC as a pure decision: rules of roles, reached through bindings.

A Policy is compiled from the four kinds of RBAC objects and never changes; whoever keeps it makes a new one when they
do. Aggregated roles get their rules from the clusterrole-aggregation controller.
Sources: plugin/pkg/auth/authorizer/rbac/rbac.go, pkg/registry/rbac/validation/{rule,policy_comparator}.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from pylet.api.causes import quoted
from pylet.api.errors import aggregated
from pylet.api.object import Key, Object
from pylet.server.auth.attributes import Attributes, Decision, covers_path
from pylet.server.registry import User

_NO_NAMES: frozenset[str] = frozenset()
_REMEMBERED = 8192


@dataclass(frozen=True, slots=True)
class Rule:
    """One PolicyRule; "*" stands for everything, `*/scale` for that subresource of any resource."""

    verbs: frozenset[str]
    groups: frozenset[str] = _NO_NAMES
    resources: frozenset[str] = _NO_NAMES
    names: frozenset[str] = _NO_NAMES
    urls: tuple[str, ...] = ()

    @classmethod
    def of(cls, rule: Object) -> Rule:
        return cls(
            frozenset(rule.get("verbs") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("resources") or ()),
            frozenset(rule.get("resourceNames") or ()),
            tuple(rule.get("nonResourceURLs") or ()),
        )

    def allows(self, asked: Attributes) -> bool:
        verbs = self.verbs
        if asked.verb not in verbs and "*" not in verbs:
            return False
        if asked.path:
            return any(covers_path(url, asked.path) for url in self.urls)
        if asked.group not in self.groups and "*" not in self.groups:
            return False
        resources = self.resources
        if asked.full_resource not in resources and "*" not in resources:
            subresource = asked.subresource
            if not subresource or f"*/{subresource}" not in resources:
                return False
        return not self.names or asked.name in self.names

    def pieces(self) -> Iterator[Rule]:
        """The rule as rules of one verb, group, resource and name each: what a comparison goes through."""
        for verb in self.verbs:
            one = frozenset((verb,))
            for url in self.urls:
                yield Rule(one, urls=(url,))
            for group in self.groups:
                for resource in self.resources:
                    names = [frozenset((name,)) for name in self.names] or [_NO_NAMES]
                    for name in names:
                        yield Rule(one, frozenset((group,)), frozenset((resource,)), name)

    def covers(self, piece: Rule) -> bool:
        """Whether this grants all that a piece (see `pieces`) does."""
        if not _has(self.verbs, piece.verbs):
            return False
        if piece.urls:
            return any(covers_path(url, piece.urls[0]) for url in self.urls)
        if not _has(self.groups, piece.groups):
            return False
        if not _has(self.resources, piece.resources):
            (resource,) = piece.resources
            _, slash, subresource = resource.partition("/")
            if not slash or f"*/{subresource}" not in self.resources:
                return False
        return not self.names or (bool(piece.names) and piece.names <= self.names)

    def described(self) -> str:
        """As upstream's refusal to escalate shows a rule."""
        parts = {
            "APIGroups": sorted(self.groups),
            "Resources": sorted(self.resources),
            "NonResourceURLs": list(self.urls),
            "ResourceNames": sorted(self.names),
            "Verbs": sorted(self.verbs),
        }
        shown = (f"{name}:[{' '.join(map(quoted, values))}]" for name, values in parts.items() if values)
        return "{" + ", ".join(shown) + "}"


def described(pieces: Iterable[Rule]) -> list[str]:
    """Rules of one verb each (see `Rule.pieces`) in words, those that differ by the verb alone together."""
    verbs: dict[Rule, frozenset[str]] = {}
    for piece in pieces:
        thing = piece if piece.urls else replace(piece, verbs=_NO_NAMES)
        verbs[thing] = verbs.get(thing, _NO_NAMES) | piece.verbs
    return sorted(replace(thing, verbs=told).described() for thing, told in verbs.items())


@dataclass(frozen=True, slots=True)
class _Grant:
    """One binding's effect for one of its subjects; `why` words it as upstream's SubjectAccessReview does.

    `missing` says that the role is not there, "" where it is.
    """

    rules: tuple[Rule, ...]
    role: Key
    why: str
    missing: str = ""


class Policy:
    def __init__(
        self,
        cluster_roles: Iterable[Object] = (),
        cluster_role_bindings: Iterable[Object] = (),
        roles: Iterable[Object] = (),
        role_bindings: Iterable[Object] = (),
    ) -> None:
        self._roles: dict[tuple[str, str], tuple[Rule, ...]] = {}
        for role in (*cluster_roles, *roles):
            meta = role["metadata"]
            self._roles[meta.get("namespace", ""), meta["name"]] = _rules(role)
        self._granted: dict[tuple[str, str], list[_Grant]] = {}
        """By namespace ("" for the cluster) and subject."""
        for binding in cluster_role_bindings:
            self._bind(binding, "")
        for binding in role_bindings:
            self._bind(binding, binding["metadata"]["namespace"])
        self._decided: dict[tuple[object, ...], Decision] = {}

    def decide(self, asked: Attributes) -> Decision:
        """As `_decide`, remembered: a user asks the same few things again and again."""
        user = asked.user
        key = (
            user.name,
            user.groups,
            asked.verb,
            asked.group,
            asked.resource,
            asked.subresource,
            asked.namespace,
            asked.name,
            asked.path,
        )
        found = self._decided.get(key)
        if found is None:
            if len(self._decided) >= _REMEMBERED:
                self._decided.clear()
            found = self._decided[key] = self._decide(asked)
        return found

    def _decide(self, asked: Attributes) -> Decision:
        for grant in self._grants(asked.user, asked.namespace):
            for rule in grant.rules:
                if rule.allows(asked):
                    return Decision(True, grant.why)
        unresolved = self.unresolved(asked.user, asked.namespace)
        return Decision(False, f"RBAC: {aggregated(unresolved)}" if unresolved else "")

    def unresolved(self, user: User, namespace: str) -> list[str]:
        """What is told of roles that are bound to the user and are not there."""
        return [grant.missing for grant in self._grants(user, namespace) if grant.missing]

    def rules_of(self, user: User, namespace: str) -> list[Rule]:
        """All rules that hold for the user in the namespace ("" for cluster-wide ones alone)."""
        return [rule for grant in self._grants(user, namespace) for rule in grant.rules]

    def roles_of(self, user: User, namespace: str) -> Iterator[Key]:
        """The roles that hold for the user in the namespace; cluster roles have the namespace ""."""
        return (grant.role for grant in self._grants(user, namespace))

    def role(self, kind: str, namespace: str, name: str) -> tuple[Rule, ...] | None:
        """The rules a roleRef stands for, None when there is no such role."""
        return self._roles.get(("" if kind == "ClusterRole" else namespace, name))

    def missing(self, user: User, namespace: str, wanted: Iterable[Rule]) -> list[Rule]:
        """What of `wanted` the user does not hold."""
        held = self.rules_of(user, namespace)
        pieces = (piece for rule in wanted for piece in rule.pieces())
        return [piece for piece in pieces if not any(rule.covers(piece) for rule in held)]

    def _grants(self, user: User, namespace: str) -> Iterator[_Grant]:
        subjects = [f"User:{user.name}", *(f"Group:{group}" for group in user.groups)]
        for place in ("", namespace) if namespace else ("",):
            for subject in subjects:
                yield from self._granted.get((place, subject), ())

    def _bind(self, binding: Object, namespace: str) -> None:
        ref = binding["roleRef"]
        rules = self.role(ref["kind"], namespace, ref["name"])
        lacks = (
            "" if rules is not None else f'{ref["kind"].lower()}.rbac.authorization.k8s.io "{ref["name"]}" not found'
        )
        name = binding["metadata"]["name"]
        role = Key("" if ref["kind"] == "ClusterRole" else namespace, ref["name"])
        kind, shown = ("RoleBinding", f"{name}/{namespace}") if namespace else ("ClusterRoleBinding", name)
        for subject in binding.get("subjects") or ():
            target, says = _subject(subject, namespace)
            why = f'RBAC: allowed by {kind} "{shown}" of {ref["kind"]} "{ref["name"]}" to {says}'
            self._granted.setdefault((namespace, target), []).append(_Grant(rules or (), role, why, lacks))


def _rules(role: Object) -> tuple[Rule, ...]:
    return tuple(Rule.of(rule) for rule in role.get("rules") or ())


def _subject(subject: Object, namespace: str) -> tuple[str, str]:
    kind, name = subject["kind"], subject["name"]
    if kind != "ServiceAccount":
        return f"{kind}:{name}", f'{kind} "{name}"'
    where = subject.get("namespace") or namespace
    return f"User:system:serviceaccount:{where}:{name}", f'ServiceAccount "{name}/{where}"'


def _has(held: frozenset[str], wanted: frozenset[str]) -> bool:
    return "*" in held or wanted <= held
