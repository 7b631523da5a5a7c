"""What a careful pod declines, beyond what the baseline forbids."""

from __future__ import annotations

from pylet.api.object import Object
from pylet.api.podsecurity.baseline import PROFILES, bad_seccomp, proc_mount
from pylet.api.podsecurity.policy import Violation
from pylet.api.podsecurity.subject import Check, Subject, containers, plural, quoted, setters

_VOLUMES = (
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
)
_OTHER_VOLUMES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


def _escalation(pod: Subject) -> Violation | None:
    if pod.minor < 8 or pod.is_windows:
        return None
    names = pod.bad(lambda context: context.get("allowPrivilegeEscalation") is not False)
    detail = f"{containers(names)} must set securityContext.allowPrivilegeEscalation=false"
    return Violation("allowPrivilegeEscalation != false", detail) if names else None


def _capabilities(pod: Subject) -> Violation | None:
    if pod.minor < 22 or pod.is_windows:
        return None
    keeping = pod.bad(lambda context: "ALL" not in ((context.get("capabilities") or {}).get("drop") or ()))
    adding = {name: set(added) - {"NET_BIND_SERVICE"} for name, added in pod.settings("capabilities", "add")}
    adding = {name: added for name, added in adding.items() if added}
    said = []
    if keeping:
        said.append(f'{containers(keeping)} must set securityContext.capabilities.drop=["ALL"]')
    if adding:
        added = quoted(sorted(set().union(*adding.values())))
        said.append(f"{containers(list(adding))} must not include {added} in securityContext.capabilities.add")
    return Violation("unrestricted capabilities", "; ".join(said)) if said else None


def _proc_mount(pod: Subject) -> Violation | None:
    return proc_mount(pod) if pod.minor >= 35 else None


def _volumes(pod: Subject) -> Violation | None:
    bad = {volume["name"]: sort for volume in pod.spec.get("volumes") or () if (sort := _restricted(volume))}
    if not bad:
        return None
    names, sorts = list(bad), sorted(set(bad.values()))
    verb = "uses" if len(names) == 1 else "use"
    detail = f"{plural('volume', names)} {quoted(names)} {verb} {plural('restricted volume type', sorts)} "
    return Violation("restricted volume types", detail + quoted(sorts))


def _restricted(volume: Object) -> str:
    """The sort of a volume that is not harmless, else ""."""
    if any(volume.get(sort) is not None for sort in _VOLUMES):
        return ""
    return next((sort for sort in _OTHER_VOLUMES if volume.get(sort) is not None), "unknown")


def _non_root(pod: Subject) -> Violation | None:
    if pod.minor >= 35 and pod.has_own_users:
        return None
    own = pod.setting("runAsNonRoot")
    who = setters(pod.bad(lambda context: context.get("runAsNonRoot") is False), pod=own is False)
    if who:
        return Violation("runAsNonRoot != true", f"{who} must not set securityContext.runAsNonRoot=false")
    silent = [] if own else pod.bad(lambda context: context.get("runAsNonRoot") is None)
    if not silent:
        return None
    return Violation("runAsNonRoot != true", f"pod or {containers(silent)} must set securityContext.runAsNonRoot=true")


def _user(pod: Subject) -> Violation | None:
    if pod.minor < 23 or (pod.minor >= 35 and pod.has_own_users):
        return None
    who = setters([name for name, user in pod.settings("runAsUser") if user == 0], pod=pod.setting("runAsUser") == 0)
    return Violation("runAsUser=0", f"{who} must not set runAsUser=0") if who else None


def _seccomp(pod: Subject) -> Violation | None:
    if pod.minor < 19 or pod.is_windows:
        return None
    if bad := bad_seccomp(pod):
        return bad
    own = pod.setting("seccompProfile") or {}
    silent = [] if own.get("type") in PROFILES else pod.bad(lambda context: context.get("seccompProfile") is None)
    says = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"'
    return Violation("seccompProfile", f"pod or {containers(silent)} {says}") if silent else None


RESTRICTED: dict[str, Check] = {
    "allowPrivilegeEscalation": _escalation,
    "capabilities_restricted": _capabilities,
    "procMount_restricted": _proc_mount,
    "restrictedVolumes": _volumes,
    "runAsNonRoot": _non_root,
    "runAsUser": _user,
    "seccompProfile_restricted": _seccomp,
}
"""They come after those of the baseline, in upstream's order."""

OVERRIDDEN = {"capabilities_baseline": 22, "hostPathVolumes": 0, "procMount": 35, "seccompProfile_baseline": 19}
"""Checks of the baseline that stricter ones take over, and from which version."""
