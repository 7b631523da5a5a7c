"""What Windows asks of a pod: its options of security contexts, and what a pod's operating system rules out.

Source: core validation.go, validateWindowsSecurityContextOptions, validateWindowsHostProcessPod, validateWindows.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pylet.api import causes, names
from pylet.api.containers import placed
from pylet.api.errors import Cause
from pylet.api.object import Object, dig

_CREDENTIAL_KIB = 64
_DOMAIN_LENGTH, _USER_LENGTH = 256, 104
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_NET_BIOS = re.compile(r'[^\\/:*?"<>|.][^\\/:*?"<>|]{0,14}')
_DNS_PART = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?"
_DNS = re.compile(rf"{_DNS_PART}(?:\.{_DNS_PART})*")
_NO_NAME = re.compile(r"[. ]+")
_NOT_IN_USERS = re.compile(r'["/\\:;|=,+*?<>@\[\]]')
_NOT_ON_WINDOWS = "cannot be set for a windows pod"
_WINDOWS_POD = (
    "securityContext.appArmorProfile",
    "securityContext.seLinuxOptions",
    "hostUsers",
    "hostPID",
    "hostIPC",
    "securityContext.seccompProfile",
    "securityContext.fsGroup",
    "securityContext.fsGroupChangePolicy",
    "securityContext.sysctls",
    "shareProcessNamespace",
    "securityContext.runAsUser",
    "securityContext.runAsGroup",
    "securityContext.supplementalGroups",
    "securityContext.supplementalGroupsPolicy",
    "securityContext.seLinuxChangePolicy",
)
_FALSE_IS_UNSET = ("hostPID", "hostIPC")
_WINDOWS_CONTAINER = (
    "appArmorProfile",
    "seLinuxOptions",
    "seccompProfile",
    "capabilities",
    "readOnlyRootFilesystem",
    "privileged",
    "allowPrivilegeEscalation",
    "procMount",
    "runAsUser",
    "runAsGroup",
)


def validate_options(context: Object, where: str) -> list[Cause]:
    """Those of one security context, a pod's or a container's, which lies at `where`."""
    options, field = context.get("windowsOptions") or {}, f"{where}.windowsOptions"
    found: list[Cause] = []
    if (name := options.get("gmsaCredentialSpecName")) is not None:
        found += causes.each(f"{field}.gmsaCredentialSpecName", name, names.dns_subdomain(name))
    if (credential := options.get("gmsaCredentialSpec")) is not None:
        at = f"{field}.gmsaCredentialSpec"
        if not credential:
            found.append(causes.invalid(at, credential, "gmsaCredentialSpec cannot be an empty string"))
        elif len(credential.encode()) > _CREDENTIAL_KIB << 10:
            found.append(causes.invalid(at, credential, f"gmsaCredentialSpec size must be under {_CREDENTIAL_KIB} KiB"))
    if (user := options.get("runAsUserName")) is not None:
        found += causes.each(
            f"{field}.runAsUserName", user, [f"runAsUserName{wrong}" for wrong in _user_problems(user)]
        )
    return found


def _user_problems(name: str) -> Iterator[str]:
    domain, backslash, user = name.rpartition("\\")
    if not name:
        yield " cannot be an empty string"
        return
    if _CONTROLS.search(name):
        yield " cannot contain control characters"
        return
    if "\\" in domain:
        yield " cannot contain more than one backslash"
        return
    if len(domain.encode()) >= _DOMAIN_LENGTH:
        yield f"'s Domain length must be under {_DOMAIN_LENGTH} characters"
    if backslash and not (_NET_BIOS.fullmatch(domain) or _DNS.fullmatch(domain)):
        yield "'s Domain doesn't match the NetBios nor the DNS format"
    if not user:
        yield "'s User cannot be empty"
    elif len(user.encode()) > _USER_LENGTH:
        yield f"'s User length must not be longer than {_USER_LENGTH} characters"
    if _NO_NAME.fullmatch(user):
        yield "'s User cannot contain only periods or spaces"
    if _NOT_IN_USERS.search(user):
        yield "'s User cannot contain the following characters: \"/\\:;|=,+*?<>@[]"


def validate_host_process(spec: Object, field: str) -> list[Cause]:
    """Host process containers of Windows: all or none of a pod's, and on the host's network."""

    def asked(holder: Object) -> bool | None:
        options = (holder.get("securityContext") or {}).get("windowsOptions") or {}
        value: bool | None = options.get("hostProcess")
        return value

    of_pod = asked(spec)
    each = {at: asked(container) for container, at in placed(spec, field)}
    says = f"pod hostProcess value must be identical if both are specified, was {str(of_pod).lower()}"
    found = [
        causes.invalid(f"{at}.securityContext.windowsOptions.hostProcess", own, says)
        for at, own in each.items()
        if None not in (of_pod, own) and own != of_pod
    ]
    resolved = [bool(of_pod) if own is None else own for own in each.values()]
    if not any(resolved):
        return found
    if not all(resolved):
        says = "If pod contains any hostProcess containers then all containers must be HostProcess containers"
        found.append(causes.invalid(f"{field}", "", says))
    if not spec.get("hostNetwork"):
        says = "hostNetwork must be true if pod contains any hostProcess containers"
        found.append(causes.invalid(f"{field}.hostNetwork", False, says))
    return found


def validate_system(spec: Object, field: str) -> list[Cause]:
    if "os" not in spec:
        return []
    name = spec["os"].get("name") or ""
    if not name:
        return [causes.required(f"{field}.os.name")]
    if name == "linux":
        says = "windows options cannot be set for a linux pod"
        holders = [(spec, field), *placed(spec, field)]
        return [
            causes.forbidden(f"{at}.securityContext.windowsOptions", says)
            for holder, at in holders
            if "windowsOptions" in (holder.get("securityContext") or {})
        ]
    if name != "windows":
        return [causes.not_supported(f"{field}.os", name, ("linux", "windows"))]
    given = {each: dig(spec, *each.split(".")) for each in _WINDOWS_POD}
    found = [
        causes.forbidden(f"{field}.{each}", _NOT_ON_WINDOWS)
        for each, value in given.items()
        if value is not None and (value or each not in _FALSE_IS_UNSET)
    ]
    for container, at in placed(spec, field):
        own = container.get("securityContext") or {}
        found += [
            causes.forbidden(f"{at}.securityContext.{each}", _NOT_ON_WINDOWS)
            for each in _WINDOWS_CONTAINER
            if each in own
        ]
    return found
