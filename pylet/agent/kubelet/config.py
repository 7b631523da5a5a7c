"""From a pod's spec to what the runtime is asked for: sandbox and container configuration. Pure.

Source: upstream `pkg/kubelet/kuberuntime/{kuberuntime_sandbox,kuberuntime_container,security_context}.go` and their
`_linux` halves, `pkg/kubelet/qos/policy.go`, `pkg/kubelet/network/dns/dns.go`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from pylet.agent.kubelet import labels
from pylet.agent.kubelet.cgroups import SWAP_LIMIT
from pylet.agent.kubelet.env import expand
from pylet.agent.kubelet.names import kernel_hostname
from pylet.agent.kubelet.provided import Extras
from pylet.agent.kubelet.resolver import dns_config
from pylet.agent.kubelet.resources import container_resources, huge_page_limits, swap_limit
from pylet.agent.kubelet.security import (
    ImageUser,
    container_security,
    groups,
    groups_policy,
    namespaces,
    seccomp,
    selinux,
)
from pylet.agent.kubelet.settings import Settings
from pylet.agent.kubelet.spec import all_containers, container_hash, is_host_network, qos_class
from pylet.agent.kubelet.volumes.bindings import Bindings
from pylet.api import podresources
from pylet.api.object import Object, dig
from pylet.cri.messages import (
    HOST_USERS,
    ContainerConfig,
    ContainerMetadata,
    ImageSpec,
    KeyValue,
    LinuxContainerConfig,
    LinuxResources,
    LinuxSandboxConfig,
    Mount,
    PortMapping,
    Protocol,
    SandboxConfig,
    SandboxMetadata,
    SandboxSecurityContext,
    UserNamespace,
)


def log_directory(pod: Object, settings: Settings) -> Path:
    meta = pod["metadata"]
    return settings.log_root / f"{meta['namespace']}_{meta['name']}_{meta['uid']}"


def cgroup_parent(pod: Object, settings: Settings) -> str:
    tier = {"Burstable": "burstable", "BestEffort": "besteffort"}.get(qos_class(pod), "")
    return settings.groups.of_pod(pod["metadata"]["uid"], tier)


# ---- the sandbox


def sandbox_config(pod: Object, settings: Settings, attempt: int, users: UserNamespace = HOST_USERS) -> SandboxConfig:
    """Raises: NameTooLong."""
    meta, spec = pod["metadata"], pod["spec"]
    host = is_host_network(pod)
    context = spec.get("securityContext") or {}
    return SandboxConfig(
        metadata=SandboxMetadata(meta["name"], meta["uid"], meta["namespace"], attempt),
        hostname=""
        if host
        else kernel_hostname(pod, settings.cluster_domain),  # with the host's network it must be empty
        log_directory=str(log_directory(pod, settings)),
        dns_config=dns_config(pod, settings),
        port_mappings=tuple(_port_mappings(pod)),
        labels={**(meta.get("labels") or {}), **_pod_labels(pod)},
        annotations=meta.get("annotations") or {},
        linux=LinuxSandboxConfig(
            cgroup_parent=cgroup_parent(pod, settings),
            sysctls={sysctl["name"]: sysctl["value"] for sysctl in context.get("sysctls") or ()},
            security_context=SandboxSecurityContext(
                namespace_options=namespaces(pod, users),
                run_as_user=context.get("runAsUser"),
                run_as_group=context.get("runAsGroup"),
                supplemental_groups=groups(context),
                supplemental_groups_policy=groups_policy(context),
                selinux_options=selinux(context.get("seLinuxOptions")),
                privileged=any(dig(c, "securityContext", "privileged") for c in all_containers(pod)),
                seccomp=seccomp(context.get("seccompProfile"), confined=settings.seccomp_default),
            ),
        ),
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


# ---- a container


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a container is made with beside its spec.

    `bindings` are what it sees of the pod's volumes, `files` go from host path to container path; `target_id` is the
    container whose processes it sees, `users` are the pod's.
    """

    environment: Mapping[str, str]
    bindings: Bindings
    files: Mapping[Path, str]
    image_ref: str
    restarts: int
    user: ImageUser
    target_id: str = ""
    extras: Extras = Extras()  # noqa: RUF009 - immutable
    users: UserNamespace = HOST_USERS


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
        mounts=tuple(_mounts(around)),
        devices=(*around.extras.devices, *around.bindings.devices),
        labels={**_pod_labels(pod), labels.CONTAINER_NAME: name},
        annotations={**around.extras.annotations, **_annotations(pod, container, around.restarts)},
        log_path=f"{name}/{around.restarts}.log",
        stdin=bool(container.get("stdin")),
        stdin_once=bool(container.get("stdinOnce")),
        tty=bool(container.get("tty")),
        linux=LinuxContainerConfig(
            resources_of(pod, container, around.extras, settings),
            container_security(
                pod, container, around.user, around.target_id, around.users, confined=settings.seccomp_default
            ),
        ),
        cdi_devices=around.extras.cdi_devices,
    )


def resources_of(pod: Object, container: Object, extras: Extras, settings: Settings) -> LinuxResources:
    """What the container is limited to, and how its group is set beside."""
    found = container_resources(pod, container, settings.memory_bytes, settings.quota_period_micros)
    limits = {**(dig(pod, "spec", "resources", "limits") or {}), **(dig(container, "resources", "limits") or {})}
    unified = settings.container_cgroup
    if settings.swap_bytes:
        swap = swap_limit(pod, container, settings.swap_bytes, settings.memory_bytes)
        unified = {**unified, SWAP_LIMIT: str(swap)}
    quota = -1 if extras.has_own_cpus else found.cpu_quota  # who is alone on its CPUs is not held back there
    return replace(
        found,
        cpu_quota=quota,
        cpuset_cpus=extras.cpus,
        cpuset_mems=extras.memory_nodes,
        hugepage_limits=huge_page_limits(podresources.amounts(limits), settings.huge_pages),
        unified=unified,
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


def _mounts(around: Surroundings) -> Iterator[Mount]:
    """Whoever owns a file owns it inside, too: a pod's own users are the machine's where something is mounted."""
    files = (Mount(container_path=inside, host_path=str(path)) for path, inside in around.files.items())
    users = around.users
    for mount in (*around.extras.mounts, *around.bindings.mounts, *files):
        yield replace(mount, uid_mappings=users.uids, gid_mappings=users.gids) if users.uids else mount
