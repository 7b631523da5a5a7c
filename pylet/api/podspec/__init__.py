"""What a pod's spec must look like, in pods and in every template.

Runs on each write of each pod: checks are plain lookups, and paths are put together only for what is wrong or has
parts of its own. Source: pkg/apis/core/validation/validation.go, ValidatePodSpec. Not checked here: Windows options,
resource claims, and the fields of cloud volumes.
"""

from __future__ import annotations

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.object import Object
from pylet.api.podspec import containers, scheduling, volumes

_RESTART_POLICIES = ("Always", "OnFailure", "Never")
_DNS_POLICIES = ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None")
_MOST_NAMESERVERS, _MOST_SEARCHES, _MOST_SEARCH_CHARS = 3, 32, 2048
_INT32 = 2**31 - 1


def validate(spec: Object, field: str) -> list[Cause]:
    """Everything wrong with `spec`, which was defaulted and lies at the path `field`."""
    found, present = volumes.validate(spec.get("volumes") or (), f"{field}.volumes")
    found += containers.validate_all(spec, present, field)
    if spec.get("restartPolicy") not in _RESTART_POLICIES:
        found.append(causes.not_supported(f"{field}.restartPolicy", spec.get("restartPolicy", ""), _RESTART_POLICIES))
    if spec.get("dnsPolicy") not in _DNS_POLICIES:
        found.append(causes.not_supported(f"{field}.dnsPolicy", spec.get("dnsPolicy", ""), _DNS_POLICIES))
    if "dnsConfig" in spec or spec.get("dnsPolicy") == "None":
        found += _dns_config(spec.get("dnsConfig") or {}, spec.get("dnsPolicy", ""), f"{field}.dnsConfig")
    if "terminationGracePeriodSeconds" not in spec:
        found.append(causes.required(f"{field}.terminationGracePeriodSeconds"))
    for name in ("serviceAccountName", "nodeName", "priorityClassName", "runtimeClassName"):
        value = spec.get(name)
        if value:
            found += causes.each(f"{field}.{name}", value, names.dns_subdomain(value))
    for name in ("hostname", "subdomain"):
        value = spec.get(name)
        if value:
            found += causes.each(f"{field}.{name}", value, names.dns_label(value))
    seconds = spec.get("activeDeadlineSeconds")
    if seconds is not None and not 1 <= seconds <= _INT32:
        says = f"must be between 1 and {_INT32}, inclusive"
        found.append(causes.invalid(f"{field}.activeDeadlineSeconds", seconds, says))
    for position, secret in enumerate(spec.get("imagePullSecrets") or ()):
        if not secret.get("name"):
            found.append(causes.required(f"{field}.imagePullSecrets[{position}].name"))
    for position, alias in enumerate(spec.get("hostAliases") or ()):
        where = f"{field}.hostAliases[{position}]"
        found += causes.each(f"{where}.ip", alias.get("ip", ""), problems_of(alias.get("ip", "")))
        for name in alias.get("hostnames") or ():
            found += causes.each(f"{where}.hostnames", name, names.dns_subdomain(name))
    found += _security(spec, field)
    found += scheduling.validate(spec, field)
    return found


def _security(spec: Object, field: str) -> list[Cause]:
    context = spec.get("securityContext") or {}
    where = f"{field}.securityContext"
    found = containers.validate_ids(context, where)
    for position, group in enumerate(context.get("supplementalGroups") or ()):
        found += containers.validate_id(f"{where}.supplementalGroups[{position}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        says = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(causes.invalid(f"{field}.shareProcessNamespace", True, says))
    policy = context.get("fsGroupChangePolicy")
    if policy is not None and policy not in ("Always", "OnRootMismatch"):
        found.append(causes.not_supported(f"{where}.fsGroupChangePolicy", policy, ("Always", "OnRootMismatch")))
    seen = set()
    for position, sysctl in enumerate(context.get("sysctls") or ()):
        name = sysctl.get("name", "")
        if not name:
            found.append(causes.required(f"{where}.sysctls[{position}].name"))
        elif name in seen:
            found.append(causes.duplicate(f"{where}.sysctls[{position}].name", name))
        seen.add(name)
    return found


def _dns_config(config: Object, policy: str, field: str) -> list[Cause]:
    found: list[Cause] = []
    servers = config.get("nameservers") or ()
    if policy == "None" and not servers:
        says = "must provide at least one DNS nameserver when `dnsPolicy` is None"
        found.append(causes.required(field if not config else f"{field}.nameservers", says))
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
    for position, option in enumerate(config.get("options") or ()):
        if not option.get("name"):
            found.append(causes.required(f"{field}.options[{position}]", "must not be empty"))
    return found
