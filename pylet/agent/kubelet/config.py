"""From a pod's spec to what the runtime is asked for: sandbox and container configuration. Pure.

Source: upstream `pkg/kubelet/kuberuntime/{kuberuntime_sandbox,kuberuntime_container,security_context}.go` and their
`_linux` halves, `pkg/kubelet/qos/policy.go`, `pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.env import expand
from pylet.agent.kubelet.resources import container_resources
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import container_hash, is_host_network, qos_class
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.api.object import Object, dig
from pylet.cri.messages import (
    Capability,
    ContainerConfig,
    ContainerMetadata,
    ContainerSecurityContext,
    DNSConfig,
    ImageSpec,
    KeyValue,
    LinuxContainerConfig,
    LinuxSandboxConfig,
    Mount,
    NamespaceMode,
    NamespaceOption,
    PortMapping,
    ProfileType,
    Protocol,
    SandboxConfig,
    SandboxMetadata,
    SandboxSecurityContext,
    SecurityProfile,
)

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


def log_directory(pod: Object, settings: Settings) -> Path:
    meta = pod["metadata"]
    return settings.log_root / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"


def cgroup_parent(pod: Object, settings: Settings) -> str:
    tier = {"Burstable": "/burstable", "BestEffort": "/besteffort"}.get(qos_class(pod), "")
    return f"{settings.cgroup_root.rstrip('/')}/kubepods{tier}/pod{pod['metadata']['uid']}"


def hostname(pod: Object) -> str:
    return str(pod["spec"].get("hostname") or pod["metadata"]["name"])[:63].rstrip("-.")


# ---- the sandbox


def sandbox_config(pod: Object, settings: Settings, attempt: int) -> SandboxConfig:
    meta, spec = pod["metadata"], pod["spec"]
    host = is_host_network(pod)
    context = spec.get("securityContext") or {}
    return SandboxConfig(
        metadata=SandboxMetadata(meta["name"], meta["uid"], meta["namespace"], attempt),
        hostname="" if host else hostname(pod),  # with the host's network it must be empty
        log_directory=str(log_directory(pod, settings)),
        dns_config=dns_config(pod, settings),
        port_mappings=tuple(_port_mappings(pod)),
        labels={**(meta.get("labels") or {}), **_pod_labels(pod)},
        annotations=meta.get("annotations") or {},
        linux=LinuxSandboxConfig(
            cgroup_parent=cgroup_parent(pod, settings),
            sysctls={sysctl["name"]: sysctl["value"] for sysctl in context.get("sysctls") or ()},
            security_context=SandboxSecurityContext(
                namespace_options=_namespaces(pod),
                run_as_user=context.get("runAsUser"),
                run_as_group=context.get("runAsGroup"),
                supplemental_groups=_groups(context),
                privileged=any(dig(c, "securityContext", "privileged") for c in spec["containers"]),
                seccomp=_seccomp(context.get("seccompProfile")),
            ),
        ),
    )


def dns_config(pod: Object, settings: Settings) -> DNSConfig:
    spec, namespace = pod["spec"], pod["metadata"]["namespace"]
    policy = spec.get("dnsPolicy", "ClusterFirst")
    if policy == "ClusterFirst" and is_host_network(pod):
        policy = "Default"
    servers: list[str] = []
    searches: list[str] = []
    options: dict[str, str | None] = {}
    if policy in ("ClusterFirst", "ClusterFirstWithHostNet") and settings.cluster_dns:
        domain = settings.cluster_domain
        servers = [settings.cluster_dns]
        searches = [f"{namespace}.svc.{domain}", f"svc.{domain}", domain, *settings.host_searches]
        options = {"ndots": "5"}
    elif policy != "None":
        servers, searches = list(settings.host_nameservers), list(settings.host_searches)
    own = spec.get("dnsConfig") or {}
    servers += own.get("nameservers") or []
    searches += own.get("searches") or []
    options |= {option["name"]: option.get("value") for option in own.get("options") or ()}
    return DNSConfig(
        tuple(dict.fromkeys(servers))[:3],
        tuple(dict.fromkeys(searches))[:32],
        tuple(name if value is None else f"{name}:{value}" for name, value in options.items()),
    )


def _port_mappings(pod: Object) -> list[PortMapping]:
    if is_host_network(pod):
        return []
    return [
        PortMapping(
            Protocol[port.get("protocol", "TCP")], port["containerPort"], port["hostPort"], port.get("hostIP", "")
        )
        for container in pod["spec"]["containers"]
        for port in container.get("ports") or ()
        if port.get("hostPort")
    ]


def _namespaces(pod: Object, target_id: str = "") -> NamespaceOption:
    spec = pod["spec"]
    pid = NamespaceMode.POD if spec.get("shareProcessNamespace") else NamespaceMode.CONTAINER
    if target_id and not spec.get("hostPID") and pid is NamespaceMode.CONTAINER:
        pid = NamespaceMode.TARGET
    return NamespaceOption(
        network=NamespaceMode.NODE if spec.get("hostNetwork") else NamespaceMode.POD,
        pid=NamespaceMode.NODE if spec.get("hostPID") else pid,
        ipc=NamespaceMode.NODE if spec.get("hostIPC") else NamespaceMode.POD,
        target_id=target_id if pid is NamespaceMode.TARGET else "",
    )


# ---- a container


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is made with beside its spec.

    `bindings` are what it sees of the pod's volumes, `files` go from host path to container path; `target_id` is the
    container whose processes it sees.
    """

    environment: Mapping[str, str]
    bindings: Bindings
    files: Mapping[Path, str]
    image_ref: str
    restarts: int
    target_id: str = ""


def container_config(pod: Object, container: Object, around: Surroundings, settings: Settings) -> ContainerConfig:
    values = around.environment
    name = container["name"]
    return ContainerConfig(
        metadata=ContainerMetadata(name, around.restarts),
        image=ImageSpec(image=around.image_ref, user_specified_image=container["image"]),
        command=tuple(expand(word, values) for word in container.get("command") or ()),
        args=tuple(expand(word, values) for word in container.get("args") or ()),
        working_dir=container.get("workingDir", ""),
        envs=tuple(KeyValue(key, value.encode(errors="surrogateescape")) for key, value in values.items()),
        mounts=(*around.bindings.mounts, *_file_mounts(around)),
        devices=around.bindings.devices,
        labels={**_pod_labels(pod), labels.CONTAINER_NAME: name},
        annotations=_annotations(pod, container, around.restarts),
        log_path=f"{name}/{around.restarts}.log",
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        linux=LinuxContainerConfig(
            container_resources(pod, container, settings.memory_bytes), _security(pod, container, around.target_id)
        ),
    )


def _annotations(pod: Object, container: Object, restarts: int) -> dict[str, str]:
    """What is needed to stop the container properly when nothing else is known of its pod any more."""
    found = {
        labels.CONTAINER_HASH: container_hash(container),
        labels.RESTART_COUNT: str(restarts),
        labels.TERMINATION_PATH: container.get("terminationMessagePath", "/dev/termination-log"),
        labels.TERMINATION_POLICY: container.get("terminationMessagePolicy", "File"),
    }
    for label, seconds in (
        (labels.DELETION_GRACE, pod["metadata"].get("deletionGracePeriodSeconds")),
        (labels.TERMINATION_GRACE, pod["spec"].get("terminationGracePeriodSeconds")),
    ):
        if seconds is not None:
            found[label] = str(seconds)
    if hook := dig(container, "lifecycle", "preStop"):
        found[labels.PRE_STOP] = json.dumps(hook, separators=(",", ":"))
    if ports := container.get("ports"):
        found[labels.PORTS] = json.dumps(ports, separators=(",", ":"))
    return found


def _pod_labels(pod: Object) -> dict[str, str]:
    meta = pod["metadata"]
    return {
        labels.POD_NAME: meta["name"],
        labels.POD_NAMESPACE: meta["namespace"],
        labels.POD_UID: meta["uid"],
    }


def _file_mounts(around: Surroundings) -> list[Mount]:
    return [Mount(container_path=inside, host_path=str(path)) for path, inside in around.files.items()]


def _security(pod: Object, container: Object, target_id: str) -> ContainerSecurityContext:
    whole, own = pod["spec"].get("securityContext") or {}, container.get("securityContext") or {}
    privileged = bool(own.get("privileged"))
    unmasked = privileged or own.get("procMount") == "Unmasked"
    capabilities = own.get("capabilities") or {}
    return ContainerSecurityContext(
        capabilities=Capability(tuple(capabilities.get("add") or ()), tuple(capabilities.get("drop") or ())),
        privileged=privileged,
        namespace_options=_namespaces(pod, target_id),
        run_as_user=own.get("runAsUser", whole.get("runAsUser")),
        run_as_group=own.get("runAsGroup", whole.get("runAsGroup")),
        readonly_rootfs=bool(own.get("readOnlyRootFilesystem")),
        supplemental_groups=_groups(whole),
        no_new_privs=own.get("allowPrivilegeEscalation") is False,
        masked_paths=() if unmasked else _MASKED,
        readonly_paths=() if unmasked else _READ_ONLY,
        seccomp=None if privileged else _seccomp(own.get("seccompProfile") or whole.get("seccompProfile")),
    )


def _groups(context: Object) -> tuple[int, ...]:
    groups: Sequence[int] = context.get("supplementalGroups") or ()
    return (*groups, context["fsGroup"]) if "fsGroup" in context else tuple(groups)


def _seccomp(profile: Object | None) -> SecurityProfile:
    match (profile or {}).get("type", "Unconfined"):
        case "RuntimeDefault":
            return SecurityProfile(ProfileType.RUNTIME_DEFAULT)
        case "Localhost":
            return SecurityProfile(ProfileType.LOCALHOST, f"{_SECCOMP_PROFILES}/{(profile or {})['localhostProfile']}")
        case _:
            return SecurityProfile(ProfileType.UNCONFINED)


def hosts_file(pod: Object, ips: Sequence[str], cluster_domain: str) -> str:
    """The /etc/hosts of a pod with an address of its own."""
    lines = [
        "# Kubernetes-managed hosts file.",
        "127.0.0.1\tlocalhost",
        "::1\tlocalhost ip6-localhost ip6-loopback",
        "fe00::0\tip6-localnet",
        "fe00::0\tip6-mcastprefix",
        "fe00::1\tip6-allnodes",
        "fe00::2\tip6-allrouters",
    ]
    name, subdomain = hostname(pod), pod["spec"].get("subdomain")
    full = f"{name}.{subdomain}.{pod['metadata']['namespace']}.svc.{cluster_domain}\t{name}" if subdomain else name
    lines += [f"{ip}\t{full}" for ip in ips]
    return "\n".join([*lines, *host_aliases(pod)]) + "\n"


def host_aliases(pod: Object) -> list[str]:
    aliases = pod["spec"].get("hostAliases") or ()
    lines = ["\t".join([alias["ip"], *(alias.get("hostnames") or ())]) for alias in aliases]
    return ["", "# Entries added by HostAliases.", *lines] if lines else []
