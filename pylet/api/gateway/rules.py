"""The rules of a route: what of them is served here, and which backends they may lead to. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from pylet.api.gateway.grants import may_name
from pylet.api.object import Key, Object

FILTERS = ("RequestHeaderModifier", "ResponseHeaderModifier", "RequestRedirect", "URLRewrite")
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f]")
_OTHER_DIALECTS = re.compile(r"\\[uUN]|\[[:.=]")  # Python knows these, or does not, where PCRE sees it otherwise


def unsupported(route: Object) -> str:
    """What keeps a route from being served; "" if nothing does."""
    return next((problem for rule in route["spec"].get("rules") or () for problem in _problems(rule)), "")


def _problems(rule: Object) -> Iterator[str]:
    for holder in (rule, *backends_of(rule)):
        for each in holder.get("filters") or ():
            if each["type"] not in FILTERS:
                yield f"filters of type {each['type']} are not served"
    for match in rule.get("matches") or ():
        parameters = match.get("queryParams") or ()
        for test in (match.get("path") or {}, *(match.get("headers") or ()), *parameters):
            if test.get("type") == "RegularExpression" and not _is_regex(test["value"]):
                yield f"{test['value']!r} is no regular expression that is understood"
        if any("'" in test["name"] for test in parameters):
            yield "query parameters with a quote in their name are not served"
    if any(_UNPRINTABLE.search(text) for text in _texts(rule)):
        yield "a value has characters that cannot be printed"


def backends_of(rule: Object) -> list[Object]:
    return rule.get("backendRefs") or []


def wrong_with(
    ref: Object, kind: str, namespace: str, grants: Iterable[Object], service_of: Callable[[Key], Object | None]
) -> tuple[str, str]:
    """Why a backend that a `kind` in `namespace` names is none: a reason and a message, both "" if it is one."""
    if (ref.get("group") or "", ref.get("kind", "Service")) != ("", "Service"):
        return "InvalidKind", f"{ref.get('kind')} {ref['name']!r} is no Service"
    key = service_key(ref, namespace)
    if not may_name(kind, namespace, "Service", key, grants):
        return "RefNotPermitted", f'no ReferenceGrant lets namespace "{namespace}" name Service "{key}"'
    service = service_of(key)
    if service is None:
        return "BackendNotFound", f'Service "{key}" is not there'
    if service["spec"].get("type") == "ExternalName":
        return "BackendNotFound", f'Service "{key}" is an ExternalName: it is not served'
    if all(port["port"] != ref.get("port") for port in service["spec"].get("ports") or ()):
        return "BackendNotFound", f'Service "{key}" has no port {ref.get("port")}'
    return "", ""


def service_key(ref: Object, namespace: str) -> Key:
    return Key(ref.get("namespace") or namespace, ref["name"])


def _is_regex(text: str) -> bool:
    if _OTHER_DIALECTS.search(text):
        return False
    try:
        re.compile(text)
    except (re.error, RecursionError, OverflowError):
        return False
    return True


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            for item in value.values():
                yield from _texts(item)
        case list():
            for item in value:
                yield from _texts(item)
