"""Security contexts of pods and containers.

Source: core validation.go, ValidateSecurityContext, ValidatePodSecurityContext.
"""

from __future__ import annotations

import re

from pylet.api import causes, golang
from pylet.api.containers import every, placed
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec import windows
from pylet.api.podspec.notes import APP_ARMOR
from pylet.api.podspec.paths import validate_descending

_MOST_ID = 2**31 - 1
_PROFILES = ("Localhost", "RuntimeDefault", "Unconfined")
_LONGEST_PROFILE = 4095
_SYSCTL = r"([a-z0-9]([-_a-z0-9]*[a-z0-9])?[\./])*[a-z0-9]([-_a-z0-9]*[a-z0-9])?"
_LONGEST_SYSCTL = 253
_SYSCTL_SAYS = f"must have at most {_LONGEST_SYSCTL} characters and match regex ^{_SYSCTL}$"
_IPC_SYSCTLS = ("kernel.shm", "kernel.msg", "fs.mqueue.")
_CHOICES = {
    "fsGroupChangePolicy": ("Always", "OnRootMismatch"),
    "supplementalGroupsPolicy": ("Merge", "Strict"),
    "seLinuxChangePolicy": ("Recursive",),
}


def validate_pod(spec: Object, field: str) -> list[Cause]:
    context, where = spec.get("securityContext") or {}, f"{field}.securityContext"
    found = _ids(context, where)
    for position, group in enumerate(context.get("supplementalGroups") or ()):
        found += _id(f"{where}.supplementalGroups[{position}]", group)
    if spec.get("shareProcessNamespace") and spec.get("hostPID"):
        says = "ShareProcessNamespace and HostPID cannot both be enabled"
        found.append(causes.invalid(f"{where}.shareProcessNamespace", True, says))
    for name, choices in _CHOICES.items():
        if name in context and context[name] not in choices:
            found.append(causes.not_supported(f"{where}.{name}", context[name], choices))
    if "sysctls" in context:
        found += _sysctls(spec, context["sysctls"], f"{where}.sysctls")
    found += _profiles(context, where)
    if spec.get("hostUsers") is False:
        says = "when `hostUsers` is false"
        for name, shown in (("hostNetwork", "hostNetwork"), ("hostPID", "HostPID"), ("hostIPC", "HostIPC")):
            if spec.get(name):
                found.append(causes.forbidden(f"{field}.{shown}", says))
        for container, at in placed(spec, field):
            if container.get("volumeDevices"):
                found.append(causes.forbidden(f"{at}.volumeDevices", says))
    found += windows.validate_options(context, where)
    return [*found, *windows.validate_host_process(spec, field), *windows.validate_system(spec, field)]


def validate_container(context: Object, where: str, *, host_users: bool) -> list[Cause]:
    found = _ids(context, where)
    mount = context.get("procMount")
    if mount is not None and mount not in ("Default", "Unmasked"):
        found.append(causes.not_supported(f"{where}.procMount", mount, ("Default", "Unmasked")))
    if host_users and mount == "Unmasked":
        found.append(causes.invalid(f"{where}.procMount", mount, "`hostUsers` must be false to use `Unmasked`"))
    found += _profiles(context, where)
    if context.get("allowPrivilegeEscalation") is False:
        if context.get("privileged"):
            says = "cannot set `allowPrivilegeEscalation` to false and `privileged` to true"
            found.append(causes.invalid(where, context, says))
        if "CAP_SYS_ADMIN" in ((context.get("capabilities") or {}).get("add") or ()):
            says = "cannot set `allowPrivilegeEscalation` to false and `capabilities.Add` CAP_SYS_ADMIN"
            found.append(causes.invalid(where, context, says))
    return [*found, *windows.validate_options(context, where)]


def _ids(context: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        if name in context:
            found += _id(f"{field}.{name}", context[name])
    return found


def _id(field: str, number: int) -> list[Cause]:
    says = f"must be between 0 and {_MOST_ID}, inclusive"
    return [] if 0 <= number <= _MOST_ID else [causes.invalid(field, number, says)]


def _sysctls(spec: Object, sysctls: list[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    seen: set[str] = set()
    for position, sysctl in enumerate(sysctls or ()):
        name, where = sysctl.get("name") or "", f"{field}[{position}].name"
        if not name:
            found.append(causes.required(where))
        elif len(name) > _LONGEST_SYSCTL or not re.fullmatch(_SYSCTL, name):
            found.append(causes.invalid(where, name, _SYSCTL_SAYS))
        elif name in seen:
            found.append(causes.duplicate(where, name))
        seen.add(name)
        dotted = name.replace("/", ".")
        for host, prefixes in (("hostNetwork", ("net.",)), ("hostIPC", _IPC_SYSCTLS)):
            if spec.get(host) and dotted.startswith(prefixes):
                found.append(causes.invalid(where, name, f"may not be specified when '{host}' is true"))
    return found


def _profiles(context: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    seccomp, where = context.get("seccompProfile"), f"{field}.seccompProfile"
    if seccomp is not None:
        kind, profile = seccomp.get("type") or "", seccomp.get("localhostProfile")
        if not kind:
            found.append(causes.required(f"{where}.type", "type is required when seccompProfile is set"))
        elif kind not in _PROFILES:
            found.append(causes.not_supported(f"{where}.type", kind, _PROFILES))
        if kind != "Localhost":
            if profile is not None:
                shown = golang.inside("SeccompProfile", seccomp)
                says = "can only be set when seccomp type is Localhost"
                found.append(causes.invalid(f"{where}.localhostProfile", shown, says))
        elif profile is None:
            found.append(causes.required(f"{where}.localhostProfile", "must be set when seccomp type is Localhost"))
        else:
            found += validate_descending(profile, f"{where}.localhostProfile")
    if "appArmorProfile" in context:
        found += _app_armor(context["appArmorProfile"], f"{field}.appArmorProfile")
    return found


def _app_armor(profile: Object, field: str) -> list[Cause]:
    kind, name, where = profile.get("type") or "", profile.get("localhostProfile"), f"{field}.localhostProfile"
    if not kind:
        return [causes.required(f"{field}.type", "type is required when appArmorProfile is set")]
    if kind not in _PROFILES:
        return [causes.not_supported(f"{field}.type", kind, _PROFILES)]
    if kind != "Localhost":
        says = "can only be set when AppArmor type is Localhost"
        return [] if name is None else [causes.invalid(where, name, says)]
    if not name:
        return [causes.required(where, "must be set when AppArmor type is Localhost")]
    found = [causes.invalid(where, name, "must not be padded with whitespace")] if name != name.strip() else []
    return [*found, causes.too_long(where, _LONGEST_PROFILE)] if len(name) > _LONGEST_PROFILE else found


def sync_app_armor(pod: Object) -> None:
    """Have profiles that old annotations name in the fields that took over; upstream's applyAppArmorVersionSkew."""
    annotations = pod["metadata"].get("annotations") or {}
    named = {name.removeprefix(APP_ARMOR): value for name, value in annotations.items() if name.startswith(APP_ARMOR)}
    spec = pod["spec"]
    if not named or (spec.get("os") or {}).get("name") == "windows":
        return
    for container in every(spec):
        profile = annotated(named.get(container["name"]))
        context = container.get("securityContext") or {}
        if profile is None or "appArmorProfile" in context or _app_armor(profile, ""):
            continue
        if profile != (spec.get("securityContext") or {}).get("appArmorProfile"):
            container["securityContext"] = {**context, "appArmorProfile": profile}


def annotated(value: str | None) -> Object | None:
    if value in ("unconfined", "runtime/default"):
        return {"type": "Unconfined" if value == "unconfined" else "RuntimeDefault"}
    name = (value or "").removeprefix("localhost/")
    return {"type": "Localhost", "localhostProfile": name} if name and name != value else None
