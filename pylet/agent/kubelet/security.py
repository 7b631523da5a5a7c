"""What a pod's and a container's security context become for the runtime. Pure.

Source: upstream `pkg/kubelet/kuberuntime/security_context.go` and `pkg/securitycontext/util.go`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pylet.api.object import Object
from pylet.cri.messages import (
    HOST_USERS,
    Capability,
    ContainerSecurityContext,
    NamespaceMode,
    NamespaceOption,
    ProfileType,
    SecurityProfile,
    SELinuxOption,
    SupplementalGroupsPolicy,
    UserNamespace,
)

_SELINUX = ("user", "role", "type", "level")
_SECCOMP_PROFILES = "/var/lib/kubelet/seccomp"
_MASKED = (
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
)
_READ_ONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


@dataclass(frozen=True, slots=True)
class ImageUser:
    """Whom the image wants to run as: a number or a name, or neither for root."""

    uid: int | None = None
    name: str = ""


def root_refused(pod: Object, container: Object, user: ImageUser) -> str:
    """Why the container may not run where `runAsNonRoot` is said, "" when it may."""
    whole, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    if not own.get("runAsNonRoot", whole.get("runAsNonRoot")):
        return ""
    asked = own.get("runAsUser", whole.get("runAsUser"))
    if asked is not None:
        return "" if asked else "container's runAsUser breaks non-root policy"
    if user.name:
        numeric = f"container has runAsNonRoot and image has non-numeric user ({user.name})"
        return f"{numeric}, cannot verify user is non-root"
    return "" if user.uid else "container has runAsNonRoot and image will run as root"


def namespaces(pod: Object, users: UserNamespace, target_id: str = "") -> NamespaceOption:
    spec = pod["spec"]
    pid = NamespaceMode.POD if spec.get("shareProcessNamespace") else NamespaceMode.CONTAINER
    if target_id and not spec.get("hostPID") and pid is NamespaceMode.CONTAINER:
        pid = NamespaceMode.TARGET
    return NamespaceOption(
        network=NamespaceMode.NODE if spec.get("hostNetwork") else NamespaceMode.POD,
        pid=NamespaceMode.NODE if spec.get("hostPID") else pid,
        ipc=NamespaceMode.NODE if spec.get("hostIPC") else NamespaceMode.POD,
        target_id=target_id if pid is NamespaceMode.TARGET else "",
        users=users,
    )


def container_security(
    pod: Object,
    container: Object,
    user: ImageUser,
    target_id: str,
    users: UserNamespace = HOST_USERS,
    *,
    confined: bool = False,
) -> ContainerSecurityContext:
    """`confined`: by the runtime's seccomp profile where it says nothing else."""
    whole, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    asked = own.get("runAsUser", whole.get("runAsUser"))
    privileged = bool(own.get("privileged"))
    unmasked = privileged or own.get("procMount") == "Unmasked"
    capabilities = own.get("capabilities") or {}
    return ContainerSecurityContext(
        capabilities=Capability(tuple(capabilities.get("add") or ()), tuple(capabilities.get("drop") or ())),
        privileged=privileged,
        namespace_options=namespaces(pod, users, target_id),
        selinux_options=selinux(own.get("seLinuxOptions") or whole.get("seLinuxOptions")),
        run_as_user=user.uid if asked is None else asked,
        run_as_username=user.name if asked is None and user.uid is None else "",
        run_as_group=own.get("runAsGroup", whole.get("runAsGroup")),
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        supplemental_groups=groups(whole),
        supplemental_groups_policy=groups_policy(whole),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        masked_paths=() if unmasked else _MASKED,
        readonly_paths=() if unmasked else _READ_ONLY,
        seccomp=None
        if privileged
        else seccomp(own.get("seccompProfile") or whole.get("seccompProfile"), confined=confined),
        apparmor=None if privileged else apparmor(own.get("appArmorProfile") or whole.get("appArmorProfile")),
    )


def groups(context: Object) -> tuple[int, ...]:
    asked: Sequence[int] = context.get("supplementalGroups") or ()
    return (context["fsGroup"], *asked) if "fsGroup" in context else tuple(asked)


def groups_policy(context: Object) -> SupplementalGroupsPolicy:
    is_strict = context.get("supplementalGroupsPolicy") == "Strict"
    return SupplementalGroupsPolicy.STRICT if is_strict else SupplementalGroupsPolicy.MERGE


def selinux(options: Object | None) -> SELinuxOption | None:
    return SELinuxOption(**{name: options.get(name, "") for name in _SELINUX}) if options else None


def apparmor(profile: Object | None) -> SecurityProfile | None:
    match (profile or {}).get("type"):
        case "RuntimeDefault":
            return SecurityProfile(ProfileType.RUNTIME_DEFAULT)
        case "Localhost":
            return SecurityProfile(ProfileType.LOCALHOST, (profile or {})["localhostProfile"])
        case "Unconfined":
            return SecurityProfile(ProfileType.UNCONFINED)
        case _:
            return None


def seccomp(profile: Object | None, *, confined: bool) -> SecurityProfile:
    match (profile or {}).get("type", "RuntimeDefault" if confined else "Unconfined"):
        case "RuntimeDefault":
            return SecurityProfile(ProfileType.RUNTIME_DEFAULT)
        case "Localhost":
            return SecurityProfile(ProfileType.LOCALHOST, f"{_SECCOMP_PROFILES}/{(profile or {})['localhostProfile']}")
        case _:
            return SecurityProfile(ProfileType.UNCONFINED)
