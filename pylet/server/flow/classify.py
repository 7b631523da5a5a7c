"""Which FlowSchema a request falls under. Pure.

Source: apiserver pkg/util/flowcontrol/rule.go.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from pylet.api.object import Object
from pylet.server.auth.attributes import Attributes

_SERVICE_ACCOUNT = "system:serviceaccount:"


def schema_of(schemas: Iterable[Object], asked: Attributes) -> Object | None:
    """The first of `schemas`, which are in the order of their precedence, that matches."""
    return next((schema for schema in schemas if matches(schema, asked)), None)


def precedence(schema: Object) -> tuple[int, str]:
    return schema["spec"].get("matchingPrecedence", 1000), schema["metadata"]["name"]


def flow_of(schema: Object, asked: Attributes) -> str:
    """What keeps the requests of one schema apart, so that none starves the others."""
    match (schema["spec"].get("distinguisherMethod") or {}).get("type"):
        case "ByUser":
            return asked.user.name
        case "ByNamespace":
            return asked.namespace
    return ""


def matches(schema: Object, asked: Attributes) -> bool:
    return any(_rule(rule, asked) for rule in schema["spec"].get("rules") or ())


def _rule(rule: Object, asked: Attributes) -> bool:
    if not any(_subject(subject, asked) for subject in rule.get("subjects") or ()):
        return False
    if asked.resource:
        return any(_resource(one, asked) for one in rule.get("resourceRules") or ())
    return any(_path(one, asked) for one in rule.get("nonResourceRules") or ())


def _subject(subject: Object, asked: Attributes) -> bool:
    match subject.get("kind"):
        case "User":
            return subject["user"]["name"] in ("*", asked.user.name)
        case "Group":
            return subject["group"]["name"] in ("*", *asked.user.groups)
        case "ServiceAccount":
            account = subject["serviceAccount"]
            prefix = f"{_SERVICE_ACCOUNT}{account['namespace']}:"
            if account["name"] == "*":
                return asked.user.name.startswith(prefix)
            return bool(asked.user.name == prefix + account["name"])
    return False


def _resource(rule: Object, asked: Attributes) -> bool:
    return (
        _any(rule["verbs"], asked.verb)
        and _any(rule["apiGroups"], asked.group)
        and _any(rule["resources"], asked.full_resource)
        and (
            _any(rule.get("namespaces") or (), asked.namespace) if asked.namespace else rule.get("clusterScope", False)
        )
    )


def _path(rule: Object, asked: Attributes) -> bool:
    if not _any(rule["verbs"], asked.verb):
        return False
    return any(
        url == "*" or url == asked.path or (url.endswith("*") and asked.path.startswith(url[:-1]))
        for url in rule["nonResourceURLs"]
    )


def _any(allowed: Collection[str], value: str) -> bool:
    return value in allowed or "*" in allowed
