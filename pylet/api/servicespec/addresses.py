"""Where a Service is: its cluster's addresses and their families, or the name outside that it stands for."""

from __future__ import annotations

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.ip import problems_of
from pylet.api.object import Object

SET_ONCE = "may not change once set"
_FAMILIES = ("IPv4", "IPv6")
_FAMILY_POLICIES = ("PreferDualStack", "RequireDualStack", "SingleStack")


def is_headless(spec: Object) -> bool:
    return (spec.get("clusterIPs") or [""])[0] == "None" or spec.get("clusterIP") == "None"


def validate_name(spec: Object) -> list[Cause]:
    unfit = [field for field in ("clusterIPs", "ipFamilies", "ipFamilyPolicy") if spec.get(field)]
    found = [causes.forbidden(f"spec.{field}", "may not be set for ExternalName services") for field in unfit]
    name = spec.get("externalName", "").removesuffix(".")
    if not name:
        return [*found, causes.required("spec.externalName")]
    return [*found, *causes.each("spec.externalName", name, names.dns_subdomain(name))]


def validate(spec: Object) -> list[Cause]:
    """What is wrong with the addresses and their families, of any type but ExternalName."""
    found: list[Cause] = []
    ip, ips, families = spec.get("clusterIP", ""), spec.get("clusterIPs") or [], spec.get("ipFamilies") or []
    where = "spec.clusterIPs"
    if ip and not ips:
        found.append(causes.required(where))
    elif ip and ips[0] != ip:
        found.append(causes.invalid(where, ips, "first value must match `clusterIP`"))
    elif ips and not ip:
        found.append(causes.invalid(where, ips, "must be empty when `clusterIP` is not specified"))
    found += _families(families, spec.get("ipFamilyPolicy"))
    wrong: list[Cause] = []
    for position, one in enumerate(ips):
        if one == "None" and position == 0:
            if len(ips) > 1:
                wrong.append(causes.invalid(where, ips, "'None' must be the first and only value"))
        else:
            wrong += causes.each(f"{where}[{position}]", one, problems_of(one))
    found += wrong
    if len(ips) > 2:
        found.append(causes.invalid(where, ips, "may only hold up to 2 values"))
    if wrong or ips[:1] == ["None"]:
        return found
    if (len(ips) > 1 and len({":" in one for one in ips}) < 2) or len(ips) > 2:
        found.append(causes.invalid(where, ips, "may specify no more than one IP for each IP family"))
    for position, (one, family) in enumerate(zip(ips, families, strict=False)):
        if family in _FAMILIES and (":" in one) != (family == "IPv6"):
            says = f"expected an {family} value as indicated by `ipFamilies[{position}]`"
            found.append(causes.invalid(f"{where}[{position}]", one, says))
    return found


def _families(families: list[str], policy: str | None) -> list[Cause]:
    found: list[Cause] = []
    for position, family in enumerate(families):
        if family not in _FAMILIES:
            found.append(causes.not_supported(f"spec.ipFamilies[{position}]", family, _FAMILIES))
        if family in families[:position]:
            found.append(causes.duplicate(f"spec.ipFamilies[{position}]", family))
    if policy is not None and policy not in _FAMILY_POLICIES:
        found.append(causes.not_supported("spec.ipFamilyPolicy", policy, _FAMILY_POLICIES))
    return found


def validate_update(spec: Object, old: Object) -> list[Cause]:
    """A Service keeps its addresses for as long as it has any: validateUpgradeDowngradeClusterIPs."""
    if "ExternalName" in (spec.get("type"), old.get("type")) or (is_headless(spec) and is_headless(old)):
        return []
    ips, before = spec.get("clusterIPs") or [], old.get("clusterIPs") or []
    if before and not ips:
        return [causes.invalid("spec.clusterIPs[0]", ips, "primary clusterIP can not be unset")]
    return [
        causes.invalid(f"spec.clusterIPs[{position}]", ips, SET_ONCE)
        for position, (ip, was) in enumerate(zip(ips, before, strict=False))
        if ip != was
    ]
