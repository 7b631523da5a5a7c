"""What a pod's spec must look like, in pods and in every template.

Runs on each write of each pod: checks are plain lookups, and paths are put together only for what is wrong or has
parts of its own. Source: pkg/apis/core/validation/validation.go, ValidatePodSpec.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from pylet.api import causes, golang, names
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.object import Object
from pylet.api.podspec import amounts, containers, env, scheduling, security, volumes

_CHOICES = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirstWithHostNet", "ClusterFirst", "Default", "None"),
    "preemptionPolicy": ("PreemptLowerPriority", "Never"),
}
_MOST_NAMESERVERS, _MOST_SEARCHES, _MOST_SEARCH_CHARS = 3, 32, 2048
_INT32 = 2**31 - 1
_LONGEST_HOSTNAME = 64


def validate(spec: Object, field: str) -> list[Cause]:
    """Everything wrong with `spec`, which was defaulted and lies at the path `field`."""
    found, present = volumes.validate(spec.get("volumes") or (), f"{field}.volumes")
    found += containers.validate_all(spec, present, field)
    for name, allowed in _CHOICES.items():
        if name in spec and spec[name] not in allowed:
            found.append(causes.not_supported(f"{field}.{name}", spec[name], allowed))
    if "dnsConfig" in spec or spec.get("dnsPolicy") == "None":
        found += _dns_config(spec.get("dnsConfig"), spec.get("dnsPolicy", ""), f"{field}.dnsConfig")
    if "terminationGracePeriodSeconds" not in spec:
        found.append(causes.required(f"{field}.terminationGracePeriodSeconds"))
    if "hostnameOverride" in spec:
        found += _hostname(spec, spec["hostnameOverride"], f"{field}.hostnameOverride")
    for name, judge in _OPTIONAL.items():
        value = spec.get(name)
        if value is not None:
            found += judge(value, f"{field}.{name}")
    if "resources" in spec:
        found += amounts.validate_pod(spec, f"{field}.resources")
    found += security.validate_pod(spec, field)
    found += scheduling.validate(spec, field)
    return [*found, *env.validate_files(spec, present, field)]


def _name(judge: names.Check) -> Callable[[str, str], list[Cause]]:
    return lambda value, field: causes.each(field, value, judge(value)) if value else []


def _deadline(seconds: int, field: str) -> list[Cause]:
    if 1 <= seconds <= _INT32:
        return []
    return [causes.invalid(field, seconds, f"must be between 1 and {_INT32}, inclusive")]


def _aliases(aliases: list[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, alias in enumerate(aliases):
        where, ip = f"{field}[{position}]", alias.get("ip", "")
        found += causes.each(f"{where}.ip", ip, problems_of(ip))
        for index, name in enumerate(alias.get("hostnames") or ()):
            found += causes.each(f"{where}.hostnames[{index}]", name, names.dns_subdomain(name))
    return found


def _overhead(overhead: Object, field: str) -> list[Cause]:
    return amounts.validate({"limits": overhead}, field)


def _hostname(spec: Object, name: str, field: str) -> list[Cause]:
    found: list[Cause] = []
    for other in ("setHostnameAsFQDN", "hostNetwork"):
        if spec.get(other):
            found.append(causes.forbidden(field, f"may not be specified when {other} is true"))
    if len(name) > _LONGEST_HOSTNAME:
        found.append(causes.too_long(field, _LONGEST_HOSTNAME))
    return [*found, *causes.each(field, name, names.dns_subdomain(name))]


def _claims(claims: list[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    sources = ("resourceClaimName", "resourceClaimTemplateName")
    for position, claim in enumerate(claims):
        name, where = claim.get("name") or "", f"{field}[{position}]"
        if not name:
            found.append(causes.required(f"{where}.name"))
        elif name in seen:
            found.append(causes.duplicate(f"{where}.name", name))
        else:
            found += causes.each(f"{where}.name", name, names.dns_label(name))
        seen.add(name)
        given = [source for source in sources if source in claim]
        if len(given) > 1:
            says = "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified"
            found.append(causes.invalid(where, golang.inside("PodResourceClaim", claim), says))
        elif not given:
            says = "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"
            found.append(causes.invalid(where, golang.inside("PodResourceClaim", claim), says))
        for source in given:
            found += causes.each(f"{where}.{source}", claim[source], names.dns_subdomain(claim[source]))
    return found


def _dns_config(config: Object | None, policy: str, field: str) -> list[Cause]:
    found: list[Cause] = []
    if config is None:
        return [causes.required(field, "must provide `dnsConfig` when `dnsPolicy` is None")]
    servers = config.get("nameservers") or ()
    if policy == "None" and not servers:
        says = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        return [causes.required(f"{field}.nameservers", says)]
    if len(servers) > _MOST_NAMESERVERS:
        says = f"must not have more than {_MOST_NAMESERVERS} nameservers"
        found.append(causes.invalid(f"{field}.nameservers", servers, says))
    for position, server in enumerate(servers):
        found += causes.each(f"{field}.nameservers[{position}]", server, problems_of(server))
    searches = config.get("searches") or ()
    if len(searches) > _MOST_SEARCHES:
        says = f"must not have more than {_MOST_SEARCHES} search paths"
        found.append(causes.invalid(f"{field}.searches", searches, says))
    if len(" ".join(searches)) > _MOST_SEARCH_CHARS:
        says = f"must not have more than {_MOST_SEARCH_CHARS} characters (including spaces) in the search list"
        found.append(causes.invalid(f"{field}.searches", searches, says))
    for position, search in enumerate(searches):
        path = search.removesuffix(".") if search != "." else "a"
        found += causes.each(f"{field}.searches[{position}]", path, names.dns_subdomain_with_underscore(path))
    for position, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(causes.required(f"{field}.options[{position}]", "must not be empty"))
    return found


_OPTIONAL: Mapping[str, Callable[[Any, str], list[Cause]]] = {
    "serviceAccountName": _name(names.dns_subdomain),
    "nodeName": _name(names.dns_subdomain),
    "priorityClassName": _name(names.dns_subdomain),
    "runtimeClassName": lambda value, field: causes.each(field, value, names.dns_subdomain(value)),
    "hostname": _name(names.dns_label),
    "subdomain": _name(names.dns_label),
    "activeDeadlineSeconds": _deadline,
    "hostAliases": _aliases,
    "overhead": _overhead,
    "resourceClaims": _claims,
}
