"""Which requests are written down and how much of them: what an audit.k8s.io/v1 Policy says. Pure.

Source: apiserver pkg/audit/policy/checker.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from pylet.api.configuration.audit import LEVELS, STAGES
from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes, covers_path

RECEIVED, STARTED, COMPLETE, _ = STAGES


class Level(IntEnum):
    """How much is written down; each includes those before it."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


_LEVELS = dict(zip(LEVELS, Level, strict=True))
NAMES = {level: name for name, level in _LEVELS.items()}


@dataclass(frozen=True, slots=True)
class Detail:
    """What a policy says of one request."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


class Policy:
    """`document` is valid (`pylet.api.configuration.audit`)."""

    def __init__(self, document: Object) -> None:
        stages = frozenset(document.get("omitStages") or ())
        omit = bool(document.get("omitManagedFields"))
        self._default = Detail(Level.NONE, stages, omit)
        self._rules = [(rule, _detail(rule, stages, omit=omit)) for rule in document.get("rules") or ()]

    def decide(self, asked: Attributes) -> Detail:
        """The first rule that matches decides; what none matches is not written down."""
        return next((detail for rule, detail in self._rules if _matches(rule, asked)), self._default)


def _detail(rule: Object, stages: frozenset[str], *, omit: bool) -> Detail:
    own = rule.get("omitManagedFields")
    return Detail(_LEVELS[rule["level"]], stages | set(rule.get("omitStages") or ()), omit if own is None else own)


def _matches(rule: Object, asked: Attributes) -> bool:
    user = asked.user
    if (users := rule.get("users")) and user.name not in users:
        return False
    if (groups := rule.get("userGroups")) and not set(groups) & set(user.groups):
        return False
    if (verbs := rule.get("verbs")) and asked.verb not in verbs:
        return False
    if rule.get("namespaces") or rule.get("resources"):
        return not asked.path and _matches_resource(rule, asked)
    if urls := rule.get("nonResourceURLs"):
        return bool(asked.path) and any(covers_path(url, asked.path) for url in urls)
    return True


def _matches_resource(rule: Object, asked: Attributes) -> bool:
    if (namespaces := rule.get("namespaces")) and asked.namespace not in namespaces:
        return False
    groups = rule.get("resources")
    return not groups or any(_matches_group(group, asked) for group in groups)


def _matches_group(group: Object, asked: Attributes) -> bool:
    if (group.get("group") or "") not in (asked.group, "*"):
        return False
    resources = group.get("resources")
    if not resources:
        return True
    if (names := group.get("resourceNames")) and asked.name not in names:
        return False
    wanted = {asked.full_resource, "*", f"{asked.resource}/*"}
    return bool(wanted & set(resources)) or (bool(asked.subresource) and f"*/{asked.subresource}" in resources)
