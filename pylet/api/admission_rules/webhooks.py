"""Webhook configurations."""

from __future__ import annotations

from urllib.parse import urlsplit

from pylet.api import causes, names, selector
from pylet.api.admission_rules.matching import (
    FAILURE_POLICIES,
    MATCH_POLICIES,
    REINVOCATION_POLICIES,
    one_of,
    validate_conditions,
    validate_rule,
)
from pylet.api.errors import Cause
from pylet.api.object import Object

_SIDE_EFFECTS = ("None", "NoneOnDryRun", "Some", "Unknown")
_NO_SIDE_EFFECTS = ("None", "NoneOnDryRun")
_VERSIONS = ("v1", "v1beta1")
_FORM = "; desired format: https://host[/path]"


def validate(obj: Object, old: Object | None = None) -> list[Cause]:
    """What older objects got away with, they may keep."""
    webhooks = obj.get("webhooks") or []
    before = (old or {}).get("webhooks") or []
    effects = _NO_SIDE_EFFECTS if all(hook.get("sideEffects") in _NO_SIDE_EFFECTS for hook in before) else _SIDE_EFFECTS
    known_version = all(set(hook.get("admissionReviewVersions") or _VERSIONS) & set(_VERSIONS) for hook in before)
    unique = len({hook.get("name") for hook in before}) == len(before)
    found: list[Cause] = []
    seen: set[str] = set()
    for position, hook in enumerate(webhooks):
        where, name = f"webhooks[{position}]", hook.get("name", "")
        found += _webhook(hook, where, effects)
        found += _versions(hook.get("admissionReviewVersions") or [], where, known_version=known_version)
        if unique and name and name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        seen.add(name)
    return found


def _webhook(hook: Object, where: str, effects: tuple[str, ...]) -> list[Cause]:
    found = _qualified(hook.get("name", ""), f"{where}.name")
    for position, rule in enumerate(hook.get("rules") or ()):
        found += validate_rule(rule, f"{where}.rules[{position}]")
    found += one_of(hook, "failurePolicy", where, FAILURE_POLICIES)
    found += one_of(hook, "matchPolicy", where, MATCH_POLICIES)
    if hook.get("sideEffects") is None:
        found.append(causes.required(f"{where}.sideEffects", f"must specify one of {', '.join(effects)}"))
    found += one_of(hook, "sideEffects", where, effects)
    seconds = hook.get("timeoutSeconds", 10)
    if not 1 <= seconds <= 30:
        says = "the timeout value must be between 1 and 30 seconds"
        found.append(causes.invalid(f"{where}.timeoutSeconds", seconds, says))
    for name in ("namespaceSelector", "objectSelector"):
        found += selector.validate_object(hook.get(name), f"{where}.{name}")
    found += one_of(hook, "reinvocationPolicy", where, REINVOCATION_POLICIES)
    found += _client(hook.get("clientConfig") or {}, f"{where}.clientConfig")
    return [*found, *validate_conditions(hook.get("matchConditions") or (), f"{where}.matchConditions")]


def _qualified(name: str, field: str) -> list[Cause]:
    if not name:
        return [causes.required(field)]
    if problems := names.dns_subdomain(name):
        return [causes.invalid(field, name, ",".join(problems))]
    if name.count(".") < 2:
        says = "should be a domain with at least three segments separated by dots"
        return [causes.invalid(field, name, says)]
    return []


def _versions(versions: list[str], where: str, *, known_version: bool) -> list[Cause]:
    field, known = f"{where}.admissionReviewVersions", ", ".join(_VERSIONS)
    if not versions:
        return [causes.required(field, f"must specify one of {known}")]
    found: list[Cause] = []
    for position, version in enumerate(versions):
        if version in versions[:position]:
            found.append(causes.invalid(f"{field}[{position}]", version, "duplicate version"))
        else:
            found += causes.each(f"{field}[{position}]", version, names.dns_1035_label(version))
    if known_version and not set(versions) & set(_VERSIONS):
        found.append(causes.invalid(field, versions, f"must include at least one of {known}"))
    return found


def _client(client: Object, where: str) -> list[Cause]:
    url, service = client.get("url"), client.get("service")
    if (url is None) == (service is None):
        return [causes.required(where, "exactly one of url or service is required")]
    if url is not None:
        return validate_url(url, f"{where}.url")
    return validate_service(service or {}, f"{where}.service")


def validate_url(url: str, field: str) -> list[Cause]:
    """Source: apiserver pkg/util/webhook/validation.go."""
    try:
        parts = urlsplit(url)
    except ValueError as bad:
        return [causes.required(field, f"url must be a valid URL: {bad}{_FORM}")]
    found: list[Cause] = []
    if parts.scheme != "https":
        found.append(causes.invalid(field, parts.scheme, f"'https' is the only allowed URL scheme{_FORM}"))
    user, at, host = parts.netloc.rpartition("@")
    if not host:
        found.append(causes.invalid(field, "", f"host must be specified{_FORM}"))
    if at:
        found.append(causes.invalid(field, user, "user information is not permitted in the URL"))
    if parts.fragment:
        found.append(causes.invalid(field, parts.fragment, "fragments are not permitted in the URL"))
    if parts.query:
        found.append(causes.invalid(field, parts.query, "query parameters are not permitted in the URL"))
    return found


def validate_service(service: Object, where: str) -> list[Cause]:
    # Upstream hands name and namespace over in the wrong order; whoever leaves one out reads of the other.
    found = [
        causes.required(f"{where}.{field}")
        for field, given in (("name", "namespace"), ("namespace", "name"))
        if not service.get(given)
    ]
    port = service.get("port", 443)
    if problems := names.port_number(port):
        found.append(causes.invalid(f"{where}.port", port, "port is not valid: " + ", ".join(problems)))
    path = service.get("path") or "/"
    return found if path == "/" else [*found, *_path(path, f"{where}.path")]


def _path(path: str, field: str) -> list[Cause]:
    if path == "//":
        return [causes.invalid(field, path, "segment[0] may not be empty")]
    found: list[Cause] = []
    if not path.startswith("/"):
        found.append(causes.invalid(field, path, "must start with a '/'"))
    for position, step in enumerate(path[1:].removesuffix("/").split("/")):
        if not step:
            found.append(causes.invalid(field, path, f"segment[{position}] may not be empty"))
        else:
            problems = [f"segment[{position}]: {problem}" for problem in names.dns_subdomain(step)]
            found += causes.each(field, path, problems)
    return found
