"""Sandboxes, containers and images of the container runtime interface: the fields of CRI v1 that pylet uses.

Names are CRI's, numbers those of `runtime.v1`. What pylet does not use is not here: a runtime that sends it is not
disturbed. Timestamps are nanoseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum

from pylet.cri.wire import at, message


class NamespaceMode(IntEnum):
    POD, CONTAINER, NODE, TARGET = range(4)


class MountPropagation(IntEnum):
    PRIVATE, HOST_TO_CONTAINER, BIDIRECTIONAL = range(3)


class Protocol(IntEnum):
    TCP, UDP, SCTP = range(3)


class ProfileType(IntEnum):
    RUNTIME_DEFAULT, UNCONFINED, LOCALHOST = range(3)


class SupplementalGroupsPolicy(IntEnum):
    MERGE, STRICT = range(2)


class SandboxState(IntEnum):
    READY, NOT_READY = range(2)


class ContainerState(IntEnum):
    CREATED, RUNNING, EXITED, UNKNOWN = range(4)


# Sandboxes


@message
class SandboxMetadata:
    name: str = at(1, "")
    uid: str = at(2, "")
    namespace: str = at(3, "")
    attempt: int = at(4, 0)


@message
class DNSConfig:
    servers: tuple[str, ...] = at(1, ())
    searches: tuple[str, ...] = at(2, ())
    options: tuple[str, ...] = at(3, ())


@message
class PortMapping:
    protocol: Protocol = at(1, Protocol.TCP)
    container_port: int = at(2, 0)
    host_port: int = at(3, 0)
    host_ip: str = at(4, "")


@message
class IDMapping:
    host_id: int = at(1, 0)
    container_id: int = at(2, 0)
    length: int = at(3, 0)


@message
class UserNamespace:
    """POD has users of its own, NODE the machine's."""

    mode: NamespaceMode = at(1, NamespaceMode.POD)
    uids: tuple[IDMapping, ...] = at(2, ())
    gids: tuple[IDMapping, ...] = at(3, ())


HOST_USERS = UserNamespace(NamespaceMode.NODE)


@message
class NamespaceOption:
    """CRI's zero is POD: leaving `pid` unset would share one PID namespace among all containers of a pod."""

    network: NamespaceMode = at(1, NamespaceMode.POD)
    pid: NamespaceMode = at(2, NamespaceMode.CONTAINER)
    ipc: NamespaceMode = at(3, NamespaceMode.POD)
    target_id: str = at(4, "")
    users: UserNamespace = at(5, HOST_USERS)


@message
class SecurityProfile:
    profile_type: ProfileType = at(1, ProfileType.RUNTIME_DEFAULT)
    localhost_ref: str = at(2, "")


@message
class SELinuxOption:
    user: str = at(1, "")
    role: str = at(2, "")
    type: str = at(3, "")
    level: str = at(4, "")


@message
class SandboxSecurityContext:
    namespace_options: NamespaceOption = at(1, NamespaceOption())
    selinux_options: SELinuxOption | None = at(2, None)
    run_as_user: int | None = at(3, None)
    run_as_group: int | None = at(8, None)
    supplemental_groups: tuple[int, ...] = at(5, ())
    supplemental_groups_policy: SupplementalGroupsPolicy = at(11, SupplementalGroupsPolicy.MERGE)
    privileged: bool = at(6, False)
    seccomp: SecurityProfile | None = at(9, None)
    apparmor: SecurityProfile | None = at(10, None)


@message
class HugepageLimit:
    """`page_size` is as control groups name it, like "2MB"."""

    page_size: str = at(1, "")
    limit: int = at(2, 0)


@message
class LinuxResources:
    cpu_period: int = at(1, 0)
    cpu_quota: int = at(2, 0)
    cpu_shares: int = at(3, 0)
    memory_limit_in_bytes: int = at(4, 0)
    oom_score_adj: int = at(5, 0)
    cpuset_cpus: str = at(6, "")
    cpuset_mems: str = at(7, "")
    hugepage_limits: tuple[HugepageLimit, ...] = at(8, ())
    unified: Mapping[str, str] = at(9, {})


@message
class LinuxSandboxConfig:
    cgroup_parent: str = at(1, "")
    security_context: SandboxSecurityContext = at(2, SandboxSecurityContext())
    sysctls: Mapping[str, str] = at(3, {})
    overhead: LinuxResources | None = at(4, None)
    resources: LinuxResources | None = at(5, None)


@message
class SandboxConfig:
    metadata: SandboxMetadata = at(1, SandboxMetadata())
    hostname: str = at(2, "")
    log_directory: str = at(3, "")
    dns_config: DNSConfig | None = at(4, None)
    port_mappings: tuple[PortMapping, ...] = at(5, ())
    labels: Mapping[str, str] = at(6, {})
    annotations: Mapping[str, str] = at(7, {})
    linux: LinuxSandboxConfig = at(8, LinuxSandboxConfig())


@message
class Sandbox:
    """One entry of a list of sandboxes."""

    id: str = at(1, "")
    metadata: SandboxMetadata = at(2, SandboxMetadata())
    state: SandboxState = at(3, SandboxState.READY)
    created_at: int = at(4, 0)
    labels: Mapping[str, str] = at(5, {})
    annotations: Mapping[str, str] = at(6, {})


@message
class PodIP:
    ip: str = at(1, "")


@message
class NetworkStatus:
    ip: str = at(1, "")
    additional_ips: tuple[PodIP, ...] = at(2, ())


@message
class SandboxStatus:
    id: str = at(1, "")
    metadata: SandboxMetadata = at(2, SandboxMetadata())
    state: SandboxState = at(3, SandboxState.READY)
    created_at: int = at(4, 0)
    network: NetworkStatus = at(5, NetworkStatus())
    labels: Mapping[str, str] = at(7, {})
    annotations: Mapping[str, str] = at(8, {})

    @property
    def ips(self) -> tuple[str, ...]:
        """The pod's addresses, the first one primary; none on the host's network."""
        return tuple(ip for ip in (self.network.ip, *(extra.ip for extra in self.network.additional_ips)) if ip)


# Containers


@message
class ContainerMetadata:
    name: str = at(1, "")
    attempt: int = at(2, 0)


@message
class ImageSpec:
    image: str = at(1, "")
    annotations: Mapping[str, str] = at(2, {})
    user_specified_image: str = at(18, "")


@message
class KeyValue:
    key: str = at(1, "")
    value: bytes = at(2, b"")


@message
class Mount:
    container_path: str = at(1, "")
    host_path: str = at(2, "")
    readonly: bool = at(3, False)
    selinux_relabel: bool = at(4, False)
    propagation: MountPropagation = at(5, MountPropagation.PRIVATE)
    uid_mappings: tuple[IDMapping, ...] = at(6, ())
    gid_mappings: tuple[IDMapping, ...] = at(7, ())
    recursive_read_only: bool = at(8, False)


@message
class Device:
    container_path: str = at(1, "")
    host_path: str = at(2, "")
    permissions: str = at(3, "")


@message
class CDIDevice:
    """A device by its qualified name: what it needs is in the node's CDI specifications."""

    name: str = at(1, "")


@message
class Capability:
    add_capabilities: tuple[str, ...] = at(1, ())
    drop_capabilities: tuple[str, ...] = at(2, ())


@message
class ContainerSecurityContext:
    capabilities: Capability | None = at(1, None)
    privileged: bool = at(2, False)
    namespace_options: NamespaceOption = at(3, NamespaceOption())
    selinux_options: SELinuxOption | None = at(4, None)
    run_as_user: int | None = at(5, None)
    run_as_group: int | None = at(12, None)
    run_as_username: str = at(6, "")
    readonly_rootfs: bool = at(7, False)
    supplemental_groups: tuple[int, ...] = at(8, ())
    supplemental_groups_policy: SupplementalGroupsPolicy = at(17, SupplementalGroupsPolicy.MERGE)
    no_new_privs: bool = at(11, False)
    masked_paths: tuple[str, ...] = at(13, ())
    readonly_paths: tuple[str, ...] = at(14, ())
    seccomp: SecurityProfile | None = at(15, None)
    apparmor: SecurityProfile | None = at(16, None)


@message
class LinuxContainerConfig:
    resources: LinuxResources | None = at(1, None)
    security_context: ContainerSecurityContext = at(2, ContainerSecurityContext())


@message
class ContainerConfig:
    metadata: ContainerMetadata = at(1, ContainerMetadata())
    image: ImageSpec = at(2, ImageSpec())
    command: tuple[str, ...] = at(3, ())
    args: tuple[str, ...] = at(4, ())
    working_dir: str = at(5, "")
    envs: tuple[KeyValue, ...] = at(6, ())
    mounts: tuple[Mount, ...] = at(7, ())
    devices: tuple[Device, ...] = at(8, ())
    labels: Mapping[str, str] = at(9, {})
    annotations: Mapping[str, str] = at(10, {})
    log_path: str = at(11, "")
    stdin: bool = at(12, False)
    stdin_once: bool = at(13, False)
    tty: bool = at(14, False)
    linux: LinuxContainerConfig = at(15, LinuxContainerConfig())
    cdi_devices: tuple[CDIDevice, ...] = at(17, ())
    stop_signal: int = at(18, 0)


@message
class Container:
    """One entry of a list of containers."""

    id: str = at(1, "")
    pod_sandbox_id: str = at(2, "")
    metadata: ContainerMetadata = at(3, ContainerMetadata())
    image: ImageSpec = at(4, ImageSpec())
    image_ref: str = at(5, "")
    state: ContainerState = at(6, ContainerState.CREATED)
    created_at: int = at(7, 0)
    labels: Mapping[str, str] = at(8, {})
    annotations: Mapping[str, str] = at(9, {})


@message
class ContainerResources:
    linux: LinuxResources | None = at(1, None)


@message
class ContainerUserLinux:
    uid: int = at(1, 0)
    gid: int = at(2, 0)
    supplemental_groups: tuple[int, ...] = at(3, ())


@message
class ContainerUser:
    linux: ContainerUserLinux | None = at(1, None)


@message
class ContainerStatus:
    id: str = at(1, "")
    metadata: ContainerMetadata = at(2, ContainerMetadata())
    state: ContainerState = at(3, ContainerState.CREATED)
    created_at: int = at(4, 0)
    started_at: int = at(5, 0)
    finished_at: int = at(6, 0)
    exit_code: int = at(7, 0)
    image: ImageSpec = at(8, ImageSpec())
    image_ref: str = at(9, "")
    reason: str = at(10, "")
    message: str = at(11, "")
    labels: Mapping[str, str] = at(12, {})
    annotations: Mapping[str, str] = at(13, {})
    mounts: tuple[Mount, ...] = at(14, ())
    log_path: str = at(15, "")
    resources: ContainerResources | None = at(16, None)
    user: ContainerUser | None = at(18, None)
    stop_signal: int = at(19, 0)


@message
class ExecResult:
    stdout: bytes = at(1, b"")
    stderr: bytes = at(2, b"")
    exit_code: int = at(3, 0)


# Images


@message
class Image:
    id: str = at(1, "")
    repo_tags: tuple[str, ...] = at(2, ())
    repo_digests: tuple[str, ...] = at(3, ())
    size: int = at(4, 0)
    uid: int | None = at(5, None)
    username: str = at(6, "")
    pinned: bool = at(8, False)


@message
class AuthConfig:
    username: str = at(1, "")
    password: str = at(2, "")
    auth: str = at(3, "")
    server_address: str = at(4, "")
    identity_token: str = at(5, "")
    registry_token: str = at(6, "")
