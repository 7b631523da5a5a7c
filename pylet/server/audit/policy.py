"""Which requests are written down and how much of them: an audit.k8s.io/v1 Policy, checked and decided. Pure.

Source: apiserver pkg/audit/policy/checker.go, pkg/apis/audit/validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes, covers_path

RECEIVED, STARTED, COMPLETE, PANIC = "RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"
_STAGES = (RECEIVED, STARTED, COMPLETE, PANIC)


class Level(IntEnum):
    """How much is written down; each includes those before it."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
NAMES = {level: name for name, level in LEVELS.items()}


class BadPolicy(ValueError):
    """What is wrong with a policy, each problem with its field."""


@dataclass(frozen=True, slots=True)
class Detail:
    """What a policy says of one request."""

    level: Level
    omit_stages: frozenset[str] = frozenset()
    omit_managed_fields: bool = False


class Policy:
    def __init__(self, document: Any) -> None:
        """Raises: BadPolicy."""
        problems = list(_problems(document))
        if problems:
            raise BadPolicy("; ".join(problems))
        stages = frozenset(document.get("omitStages") or ())
        omit = bool(document.get("omitManagedFields"))
        self._default = Detail(Level.NONE, stages, omit)
        self._rules = [(rule, _detail(rule, stages, omit=omit)) for rule in document.get("rules") or ()]

    def decide(self, asked: Attributes) -> Detail:
        """The first rule that matches decides; what none matches is not written down."""
        return next((detail for rule, detail in self._rules if _matches(rule, asked)), self._default)


def _detail(rule: Object, stages: frozenset[str], *, omit: bool) -> Detail:
    own = rule.get("omitManagedFields")
    return Detail(LEVELS[rule["level"]], stages | set(rule.get("omitStages") or ()), omit if own is None else own)


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


def _problems(document: Any) -> Iterator[str]:
    if not isinstance(document, dict) or document.get("kind") != "Policy":
        yield "not a Policy of audit.k8s.io/v1"
        return
    if document.get("apiVersion") != "audit.k8s.io/v1":
        yield f"apiVersion: {document.get('apiVersion')} is not audit.k8s.io/v1"
    if not document.get("rules"):
        yield "loaded illegal policy with 0 rules"
    yield from _bad_stages(document, "omitStages")
    for at, rule in enumerate(document.get("rules") or ()):
        yield from _rule_problems(rule, f"rules[{at}]")


def _rule_problems(rule: Object, field: str) -> Iterator[str]:
    if rule.get("level") not in LEVELS:
        yield f'{field}.level: Unsupported value: "{rule.get("level")}": supported values: {", ".join(LEVELS)}'
    for url in rule.get("nonResourceURLs") or ():
        if url != "*" and not url.startswith("/"):
            yield f"{field}.nonResourceURLs: {url}: non-resource URL rules must begin with a '/' character"
        if "*" in url[:-1]:
            yield f"{field}.nonResourceURLs: {url}: wildcards '*' must be the final character of the rule"
    for group in rule.get("resources") or ():
        if "/" in (group.get("group") or ""):
            yield f"{field}.resources.group: {group['group']} is not a group: leave the version away"
        if group.get("resourceNames") and not group.get("resources"):
            yield f"{field}.resources.resourceNames: using resourceNames requires at least one resource"
    yield from _bad_stages(rule, f"{field}.omitStages")
    if rule.get("nonResourceURLs") and (rule.get("resources") or rule.get("namespaces")):
        yield f"{field}.nonResourceURLs: rules cannot apply to both regular resources and non-resource URLs"


def _bad_stages(item: Object, field: str) -> Iterator[str]:
    for stage in item.get("omitStages") or ():
        if stage not in _STAGES:
            yield f"{field}: {stage}: allowed stages are {','.join(_STAGES)}"
