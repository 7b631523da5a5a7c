"""Rules of roles and their bindings. Source: pkg/apis/rbac/validation/validation.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from pylet.api import causes, columns, names, selector
from pylet.api.errors import Cause
from pylet.api.kind import Strategy
from pylet.api.object import Object, dig

GROUP = "rbac.authorization.k8s.io"


class RoleStrategy(Strategy):
    def __init__(self, *, paths_allowed: bool) -> None:
        self.paths_allowed = paths_allowed

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        for position, rule in enumerate(obj.get("rules") or ()):
            found += self._rule(rule, f"rules[{position}]")
        aggregation = obj.get("aggregationRule")
        if aggregation is not None:
            where = "aggregationRule.clusterRoleSelectors"
            chosen = aggregation.get("clusterRoleSelectors") or ()
            if not chosen:
                found.append(
                    causes.required(where, "at least one clusterRoleSelector required if aggregationRule is non-nil")
                )
            for position, one in enumerate(chosen):
                if wrong := selector.validate_object(one, f"{where}[{position}]"):
                    says = "invalid label selector."
                    found += [*wrong, causes.invalid(f"{where}[{position}]", None, says)]
        return found

    def _rule(self, rule: Object, where: str) -> list[Cause]:
        found: list[Cause] = []
        if not rule.get("verbs"):
            found.append(causes.required(f"{where}.verbs", "verbs must contain at least one value"))
        paths = rule.get("nonResourceURLs")
        if paths:
            if not self.paths_allowed:
                says = "namespaced rules cannot apply to non-resource URLs"
                found.append(causes.invalid(f"{where}.nonResourceURLs", paths, says))
            if any(rule.get(field) for field in ("apiGroups", "resources", "resourceNames")):
                says = "rules cannot apply to both regular resources and non-resource URLs"
                found.append(causes.invalid(f"{where}.nonResourceURLs", paths, says))
            return found
        if not rule.get("apiGroups"):
            found.append(causes.required(f"{where}.apiGroups", "resource rules must supply at least one api group"))
        if not rule.get("resources"):
            found.append(causes.required(f"{where}.resources", "resource rules must supply at least one resource"))
        return found


class BindingStrategy(Strategy):
    def __init__(self, *, roles: tuple[str, ...]) -> None:
        self.roles = roles

    def name_problems(self, name: str) -> Sequence[str]:
        return names.path_segment(name)

    def validate(self, obj: Object) -> Sequence[Cause]:
        found: list[Cause] = []
        role = obj.get("roleRef") or {}
        if role.get("apiGroup") != GROUP:
            found.append(causes.not_supported("roleRef.apiGroup", role.get("apiGroup", ""), (GROUP,)))
        if role.get("kind") not in self.roles:
            found.append(causes.not_supported("roleRef.kind", role.get("kind", ""), self.roles))
        if not role.get("name"):
            found.append(causes.required("roleRef.name"))
        else:
            found += causes.each("roleRef.name", role["name"], names.path_segment(role["name"]))
        for position, subject in enumerate(obj.get("subjects") or ()):
            # A subject of a RoleBinding without a namespace is one of the binding's own.
            found += _subject(subject, f"subjects[{position}]", is_namespaced="Role" in self.roles)
        return found

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        says = "cannot change roleRef"
        return [*self.validate(obj), *causes.immutable("roleRef", _in_go(obj), _in_go(old), says)]


def _in_go(binding: Object) -> dict[str, str]:
    """The role's reference, as Go shows it."""
    role = binding.get("roleRef") or {}
    return {"APIGroup": role.get("apiGroup", ""), "Kind": role.get("kind", ""), "Name": role.get("name", "")}


def _subject(subject: Object, where: str, *, is_namespaced: bool) -> list[Cause]:
    found: list[Cause] = []
    name, kind, group = subject.get("name", ""), subject.get("kind", ""), subject.get("apiGroup", "")
    if not name:
        found.append(causes.required(f"{where}.name"))
    match kind:
        case "ServiceAccount":
            if name:
                found += causes.each(f"{where}.name", name, names.dns_subdomain(name))
            if group:
                found.append(causes.not_supported(f"{where}.apiGroup", group, ("",)))
            if not subject.get("namespace") and not is_namespaced:
                found.append(causes.required(f"{where}.namespace"))
        case "User" | "Group":
            if group != GROUP:
                found.append(causes.not_supported(f"{where}.apiGroup", group, (GROUP,)))
        case _:
            found.append(causes.not_supported(f"{where}.kind", kind, ("ServiceAccount", "User", "Group")))
    return found


def binding_cells(obj: Object, now: datetime) -> list[Any]:
    subjects = obj.get("subjects") or ()
    users = [subject["name"] for subject in subjects if subject["kind"] == "User"]
    groups = [subject["name"] for subject in subjects if subject["kind"] == "Group"]
    accounts = [f"{s.get('namespace', '')}/{s['name']}" for s in subjects if s["kind"] == "ServiceAccount"]
    role = f"{dig(obj, 'roleRef', 'kind')}/{dig(obj, 'roleRef', 'name')}"
    age = columns.age(obj, now)
    return [obj["metadata"]["name"], role, age, ", ".join(users), ", ".join(groups), ", ".join(accounts)]
