"""Whether this node takes a pod that was bound to it. Pure.

Each check answers None or why not: the reason and the message of the pod's status.
Source: upstream `pkg/kubelet/sysctl/allowlist.go`, `pkg/kubelet/lifecycle/{handlers,predicate}.go`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pylet.agent.kubelet import shutdown
from pylet.agent.kubelet.eviction import DISK, MEMORY, PIDS, REASON, is_critical
from pylet.agent.kubelet.manifests import is_static
from pylet.agent.kubelet.preemption import Shortage, in_units
from pylet.agent.kubelet.spec import all_containers, qos_class
from pylet.api import podresources
from pylet.api.hostports import collide, host_ports
from pylet.api.nodeaffinity import allows
from pylet.api.object import Object, dig, labels_of
from pylet.api.quantity import parse
from pylet.api.taints import first_untolerated

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
    unsafe_sysctls: tuple[str, ...] = ()
    """That the node's configuration lets pods set; a name may end with `*`."""


@dataclass(frozen=True, slots=True)
class Home:
    """Where the pod is to run: the Node (empty while it is unknown), and the pods that it has taken already."""

    abilities: Abilities = Abilities()
    node: Object = field(default_factory=dict)
    others: Sequence[Object] = ()
    is_closing: bool = False


NODE_AFFINITY = "NodeAffinity"
"""The reason of who does not belong on the node, as far as its labels are known here."""

Check: TypeAlias = Callable[[Object, Home], Refusal | None]


def refusal(pod: Object, home: Home, checks: Sequence[Check] = ()) -> Refusal | None:
    """Of all `checks` (EARLY, LATER; none is both) the first that refuses."""
    for check in checks or (*EARLY, *LATER):
        if (refused := check(pod, home)) is not None:
            return refused
    return None


def _closing(pod: Object, home: Home) -> Refusal | None:
    return shutdown.REFUSAL if home.is_closing else None


def _system(pod: Object, home: Home) -> Refusal | None:
    if labels_of(pod).get("kubernetes.io/os", "linux") != "linux":
        words = "Failed to admit pod as the `kubernetes.io/os` label doesn't match node label"
        return "PodOSSelectorNodeLabelDoesNotMatch", words
    if dig(pod, "spec", "os", "name") not in (None, "linux"):
        return "PodOSNotSupported", "Failed to admit pod as the OS field doesn't match node OS"
    is_strict = dig(pod, "spec", "securityContext", "supplementalGroupsPolicy") == "Strict"
    if is_strict and not dig(home.node, "status", "features", "supplementalGroupsPolicy"):
        words = "SupplementalGroupsPolicy=Strict is not supported in this node"
        return "SupplementalGroupsPolicyNotSupported", words
    return None


def _apparmor(pod: Object, home: Home) -> Refusal | None:
    asked = [dig(c, "securityContext", "appArmorProfile", "type") for c in all_containers(pod)]
    asked.append(dig(pod, "spec", "securityContext", "appArmorProfile", "type"))
    if home.abilities.apparmor or all(profile in (None, "Unconfined") for profile in asked):
        return None
    return "AppArmor", "Cannot enforce AppArmor: AppArmor is not enabled on the host"


def _sysctls(pod: Object, home: Home) -> Refusal | None:
    spec = pod["spec"]
    for sysctl in dig(spec, "securityContext", "sysctls", default=()):
        name = _dotted(sysctl["name"])
        if name not in _SAFE_SYSCTLS and not _is_allowed(name, home.abilities.unsafe_sysctls):
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowlisted'
        is_ipc = name.startswith(("kernel.", "fs.mqueue."))
        if spec.get("hostIPC" if is_ipc else "hostNetwork"):
            namespace = "ipc" if is_ipc else "net"
            return "SysctlForbidden", f'forbidden sysctl: "{name}" not allowed with host {namespace} enabled'
    return None


def _is_allowed(name: str, patterns: Sequence[str]) -> bool:
    return any(name.startswith(p[:-1]) if p.endswith("*") else name == p for p in patterns)


def _pressure(pod: Object, home: Home) -> Refusal | None:
    """A node that runs short takes none but critical pods; of memory, also those that asked for some, or tolerate it.

    Pods that were here before do not count: what the Node says then is how short an earlier kubelet ran.
    Source: upstream `pkg/kubelet/eviction/eviction_manager.go`, Admit.
    """
    conditions = dig(home.node, "status", "conditions", default=())
    pressing = [c["type"] for c in conditions if c["type"] in (MEMORY, DISK, PIDS) and c["status"] == "True"]
    if not pressing or is_critical(pod) or dig(pod, "status", "startTime"):
        return None
    if pressing == [MEMORY]:
        tolerations = pod["spec"].get("tolerations") or ()
        tolerates = first_untolerated((_SHORT_OF_MEMORY,), tolerations, ("NoSchedule",)) is None
        if tolerates or qos_class(pod) != "BestEffort":
            return None
    return REASON, f"The node had condition: [{' '.join(pressing)}]. "


_SHORT_OF_MEMORY = {"key": "node.kubernetes.io/memory-pressure", "effect": "NoSchedule"}


def _resources(pod: Object, home: Home) -> Refusal | None:
    """What the pod asks for must be left, or made: see `shortages`."""
    for short in () if is_critical(pod) else shortages(pod, home):
        return f"OutOf{short.resource}", str(short)
    return None


def shortages(pod: Object, home: Home) -> Iterator[Shortage]:
    """Of what the node has too little for a pod that was bound by hand: the scheduler has not measured that one."""
    room = podresources.amounts(dig(home.node, "status", "allocatable"))
    asks = {"pods": parse("1"), **podresources.requests(pod, is_live=False)}
    podresources.add(asks, podresources.amounts(pod["spec"].get("overhead")))
    used: podresources.Amounts = {"pods": parse(str(len(home.others)))}
    for other in home.others if len(asks) > 1 else ():  # a tenth of what it costs to start one that asks for nothing
        podresources.add(used, podresources.requests(other, is_live=True))
    for name, amount in asks.items():
        taken = used[name].nanos if name in used else 0
        if name in room and amount.nanos and amount.nanos + taken > room[name].nanos:
            yield Shortage(name, *(in_units(name, nanos) for nanos in (amount.nanos, taken, room[name].nanos)))


def _affinity(pod: Object, home: Home) -> Refusal | None:
    if not home.node or allows(pod["spec"], home.node["metadata"]["name"], labels_of(home.node)):
        return None
    return _failed(NODE_AFFINITY, "node(s) didn't match Pod's node affinity/selector")


def _ports(pod: Object, home: Home) -> Refusal | None:
    taken = [port for other in home.others for port in host_ports(other["spec"])]
    if not collide(taken, host_ports(pod["spec"])):
        return None
    return _failed("NodePorts", "node(s) didn't have free ports for the requested pod ports")


def _taints(pod: Object, home: Home) -> Refusal | None:
    """Static pods run whatever the node is tainted with."""
    taints, tolerated = dig(home.node, "spec", "taints", default=()), pod["spec"].get("tolerations") or ()
    if is_static(pod) or first_untolerated(taints, tolerated, ("NoExecute",)) is None:
        return None
    return _failed("TaintToleration", "node(s) had taints that the pod didn't tolerate")


def _failed(predicate: str, why: str) -> Refusal:
    return predicate, f"Predicate {predicate} failed: {why}"


def _dotted(name: str) -> str:
    """`net/ipv4/tcp_rmem` is another way to write it, in which dots belong to the names."""
    first = min((name.find(mark) for mark in "./" if mark in name), default=-1)
    return name if first < 0 or name[first] == "." else name.translate(str.maketrans("./", "/."))


EARLY: tuple[Check, ...] = (_closing, _pressure, _sysctls)
"""What is asked before the pod is given devices and the like."""
LATER: tuple[Check, ...] = (
    _system,
    _resources,
    _affinity,
    _ports,
    _taints,
    _apparmor,
)
