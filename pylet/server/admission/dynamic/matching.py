"""Whether a write is one that a webhook, a policy or a binding is about: rules, and selectors of namespace and object.

Source: apiserver pkg/admission/plugin/webhook/{generic/webhook.go,predicates}, plugin/policy/matching/matching.go.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from pylet.api import selector
from pylet.api.errors import NotFound
from pylet.api.object import Object, labels_of
from pylet.server.admission.dynamic.asked import Asked, Match

_ALL = "*"


@dataclass(frozen=True, slots=True)
class Rule:
    """`resources` are pairs of resource and subresource; `names` are those of objects, none for any."""

    operations: frozenset[str]
    groups: frozenset[str]
    versions: frozenset[str]
    resources: tuple[tuple[str, str], ...]
    scope: str
    names: frozenset[str]

    @classmethod
    def of(cls, rule: Object) -> Rule:
        pairs = (text.partition("/") for text in rule.get("resources") or ())
        return cls(
            frozenset(rule.get("operations") or ()),
            frozenset(rule.get("apiGroups") or ()),
            frozenset(rule.get("apiVersions") or ()),
            tuple((resource, sub) for resource, _, sub in pairs),
            rule.get("scope") or _ALL,
            frozenset(rule.get("resourceNames") or ()),
        )

    def matches(self, asked: Asked, match: Match) -> bool:
        kind = match.resource
        if not _has(self.operations, asked.operation) or not _has(self.groups, kind.group):
            return False
        if not _has(self.versions, kind.version) or not self._has_scope(asked):
            return False
        if self.names and asked.write.named not in self.names:
            return False
        subresource = asked.write.subresource
        return any(resource in (_ALL, kind.plural) and sub in (_ALL, subresource) for resource, sub in self.resources)

    def _has_scope(self, asked: Asked) -> bool:
        if self.scope == _ALL:
            return True
        in_cluster = asked.resource.resource == "namespaces" or not asked.namespace
        return (self.scope == "Cluster") == in_cluster


@dataclass(frozen=True, slots=True)
class Constraints:
    """`rules` of a binding may be missing: then it is about all its policy is about."""

    rules: tuple[Rule, ...]
    excluded: tuple[Rule, ...]
    equivalent: bool
    of_namespaces: selector.LabelSelector
    of_objects: selector.LabelSelector

    @classmethod
    def of(cls, spec: Object) -> Constraints:
        """From a webhook, or a MatchResources."""
        rules = spec.get("rules") if "rules" in spec else spec.get("resourceRules")
        return cls(
            _rules(rules or ()),
            _rules(spec.get("excludeResourceRules") or ()),
            spec.get("matchPolicy", "Equivalent") == "Equivalent",
            selector.from_object(spec.get("namespaceSelector") or {}),
            selector.from_object(spec.get("objectSelector") or {}),
        )

    def match(self, asked: Asked, *, without_rules: bool = False) -> Match | None:
        """In which version the write is meant, if it is; `without_rules` says whether no rule means everything.

        Raises: NotFound, for a namespace whose labels would decide.
        """
        if self.rules or not without_rules:
            found = self._by(self.rules, asked)
            if found is None:
                return None
        else:
            found = asked.exact
        if self.of_objects.requirements and not any(map(self.of_objects, asked.labels())):
            return None
        if self.excluded and self._by(self.excluded, asked) is not None:
            return None
        return found if self._selects_namespace(asked) else None

    def _by(self, rules: tuple[Rule, ...], asked: Asked) -> Match | None:
        if any(rule.matches(asked, asked.exact) for rule in rules):
            return asked.exact
        if not self.equivalent:
            return None
        return next((match for rule in rules for match in asked.equivalents if rule.matches(asked, match)), None)

    def _selects_namespace(self, asked: Asked) -> bool:
        is_namespace = asked.resource.resource == "namespaces"
        if not self.of_namespaces.requirements or (not asked.namespace and not is_namespace):
            return True
        return self.of_namespaces(_namespace_labels(asked, is_namespace=is_namespace))


def _namespace_labels(asked: Asked, *, is_namespace: bool) -> Mapping[str, str]:
    write = asked.write
    if is_namespace and not write.subresource and write.obj is not None:
        return labels_of(write.obj)
    namespace = asked.namespace_object()
    if namespace is None:
        raise NotFound("", "namespaces", asked.namespace)
    return labels_of(namespace)


def _has(items: frozenset[str], wanted: str) -> bool:
    return wanted in items or _ALL in items


def _rules(rules: Iterable[Object]) -> tuple[Rule, ...]:
    return tuple(map(Rule.of, rules))
