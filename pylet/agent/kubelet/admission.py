"""Whether this node takes a pod that was bound to it. Pure.

Each check answers None or why not: the reason and the message of the pod's status.
Source: upstream `pkg/kubelet/sysctl/allowlist.go`, `pkg/kubelet/lifecycle/handlers.go`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from pylet.agent.kubelet.spec import all_containers
from pylet.api.object import Object, dig

Refusal: TypeAlias = tuple[str, str]

_SAFE_SYSCTLS = frozenset(
    (
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
    )
)


@dataclass(frozen=True, slots=True)
class Abilities:
    """What the machine can do."""

    apparmor: bool = False


def refusal(pod: Object, abilities: Abilities) -> Refusal | None:
    for check in _CHECKS:
        if (refused := check(pod, abilities)) is not None:
            return refused
    return None


def _system(pod: Object, abilities: Abilities) -> Refusal | None:
    if dig(pod, "spec", "os", "name") not in (None, "linux"):
        return "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"
    return None


def _apparmor(pod: Object, abilities: Abilities) -> Refusal | None:
    asked = [dig(c, "securityContext", "appArmorProfile", "type") for c in all_containers(pod)]
    asked.append(dig(pod, "spec", "securityContext", "appArmorProfile", "type"))
    if abilities.apparmor or all(profile in (None, "Unconfined") for profile in asked):
        return None
    return "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"


def _sysctls(pod: Object, abilities: Abilities) -> Refusal | None:
    spec = pod["spec"]
    for sysctl in dig(spec, "securityContext", "sysctls", default=()):
        name = _dotted(sysctl["name"])
        if name not in _SAFE_SYSCTLS:
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted'
        is_ipc = name.startswith("kernel.")
        if spec.get("hostIPC" if is_ipc else "hostNetwork"):
            namespace = "ipc" if is_ipc else "net"
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host {namespace} enabled'
    return None


def _dotted(name: str) -> str:
    """`net/ipv4/tcp_rmem` is another way to write it, in which dots belong to the names."""
    first = min((name.find(mark) for mark in "./" if mark in name), default=-1)
    return name if first < 0 or name[first] == "." else name.translate(str.maketrans("./", "/."))


_CHECKS: tuple[Callable[[Object, Abilities], Refusal | None], ...] = (_system, _apparmor, _sysctls)
