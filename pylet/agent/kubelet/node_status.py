"""What the API is told of this node: the Node to register and its status. Pure: facts in, objects out.

Source: upstream `pkg/kubelet/kubelet_node_status.go` and `nodestatus/setters.go`, reasons and messages included.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from pylet.agent.kubelet.kubelet_config import DEFAULT, KubeletConfig
from pylet.agent.kubelet.machine import Machine
from pylet.api import timestamps
from pylet.api.object import Object, dig
from pylet.api.quantity import NANOS
from pylet.api.resources import is_extended
from pylet.cri.features import RuntimeFeatures, RuntimeHandler
from pylet.version import VERSION

_DECLARED = (
    "ExtendWebSocketsToKubelet",
    "InPlacePodLevelResourcesVerticalScaling",
    "InPlacePodVerticalScalingInitContainers",
    "RestartAllContainersOnContainerExits",
)
"""What of component-helpers `nodedeclaredfeatures` this kubelet does."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What this node calls itself. `labels` and `taints` are the user's, as in the flags; port 0 serves nothing."""

    name: str
    addresses: tuple[str, ...]
    kubelet_port: int
    labels: tuple[str, ...] = ()
    taints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RuntimeFacts:
    """`problem` is "" when the runtime and its network are ready, else what is wrong, as upstream words it."""

    version: str
    problem: str
    images: tuple[tuple[tuple[str, ...], int], ...] = ()
    """Names and size in bytes of each image."""
    abilities: Object = field(default_factory=dict)
    """As a Node's status tells them."""


_SILENT = ("Ready", "False", "KubeletNotReady", "the kubelet has not reported its status yet")


def registration(identity: Identity, machine: Machine, config: KubeletConfig) -> Object:
    """The Node as this kubelet would create it: not ready until its status is reported."""
    labels = {
        "kubernetes.io/hostname": identity.name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": "linux",
        "beta.kubernetes.io/arch": machine.architecture,
    }
    labels |= dict(label.partition("=")[::2] for label in identity.labels)
    node: Object = {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": identity.name, "labels": labels},
        "spec": {"providerID": config.provider_id} if config.provider_id else {},
        "status": {"conditions": [dict(zip(("type", "status", "reason", "message"), _SILENT, strict=True))]},
    }
    if identity.taints:
        node["spec"]["taints"] = [_taint(text) for text in identity.taints]
    return node


def status(
    identity: Identity,
    machine: Machine,
    pressures: Collection[str],
    runtime: RuntimeFacts,
    before: Object,
    now: datetime,
    config: KubeletConfig = DEFAULT,
    devices: Mapping[str, tuple[int, int]] = MappingProxyType({}),
) -> Object:
    """The status to report; transition times are kept from `before`, the status reported last.

    `pressures` are the conditions of running short that hold, `devices` capacity and allocatable of extended resources.
    """
    extended = {name: amount for name, amount in (before.get("capacity") or {}).items() if is_extended(name)}
    conditions = [_pressure(*words, pressed=words[0] in pressures) for words in _PRESSURES]
    if runtime.problem:
        ready = ("Ready", "False", "KubeletNotReady", runtime.problem)
    else:
        ready = ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    return {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in identity.addresses),
            {"type": "Hostname", "address": identity.name},
        ],
        "capacity": {
            **extended,
            **capacity(machine, config),
            **{name: str(all_) for name, (all_, _) in devices.items()},
        },
        "allocatable": {
            **extended,
            **allocatable(machine, config),
            **{name: str(well) for name, (_, well) in devices.items()},
        },
        "conditions": [_condition(found, before, now) for found in (*conditions, ready)],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": identity.kubelet_port}},
        "nodeInfo": {
            "machineID": machine.machine_id,
            "systemUUID": machine.system_uuid,
            "bootID": machine.boot_id,
            "kernelVersion": machine.kernel,
            "osImage": machine.os_image,
            "containerRuntimeVersion": runtime.version,
            "kubeletVersion": VERSION,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": machine.architecture,
            **({"swap": {"capacity": machine.swap_bytes}} if machine.swap_bytes else {}),
        },
        **runtime.abilities,
        "declaredFeatures": list(_DECLARED),
        "images": _images(runtime.images, config.images_reported),
    }


def abilities(handlers: Iterable[RuntimeHandler], features: RuntimeFeatures) -> Object:
    """Of a runtime that tells of any."""
    told = [
        {
            "name": handler.name,
            "features": {
                "recursiveReadOnlyMounts": handler.features.recursive_read_only_mounts,
                "userNamespaces": handler.features.user_namespaces,
            },
        }
        for handler in sorted(handlers, key=lambda handler: handler.name)
    ]
    if not told:
        return {}
    return {"runtimeHandlers": told, "features": {"supplementalGroupsPolicy": features.supplemental_groups_policy}}


def news(before: Object, after: Object) -> list[str]:
    """Reasons of the events that say which conditions are others now; who was not heard of was not ready."""
    old = {"Ready": "False"} | {c["type"]: c["status"] for c in before.get("conditions") or ()}
    changed = (c for c in after["conditions"] if old.get(c["type"]) != c["status"])
    return [condition["reason"].replace("Kubelet", "Node", 1) for condition in changed]


def has_rebooted(before: Object, after: Object) -> bool:
    return dig(before, "nodeInfo", "bootID", default="") not in ("", after["nodeInfo"]["bootID"])


def is_worth_reporting(before: Object, after: Object) -> bool:
    """Whether anything but heartbeat times differs."""
    return _without_heartbeats(before) != _without_heartbeats(after)


def _without_heartbeats(status_: Object) -> Object:
    conditions = [
        {name: value for name, value in condition.items() if name != "lastHeartbeatTime"}
        for condition in status_.get("conditions") or ()
    ]
    # What is attached somebody else says.
    return {**{name: value for name, value in status_.items() if name != "volumesAttached"}, "conditions": conditions}


def _pressure(type_: str, bad: tuple[str, str], good: tuple[str, str], *, pressed: bool) -> tuple[str, str, str, str]:
    return (type_, "True", *bad) if pressed else (type_, "False", *good)


_PRESSURES = (
    (
        "MemoryPressure",
        ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
        ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    ),
    (
        "DiskPressure",
        ("KubeletHasDiskPressure", "kubelet has disk pressure"),
        ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    ),
    (
        "PIDPressure",
        ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
        ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
    ),
)


def _condition(found: tuple[str, str, str, str], before: Object, now: datetime) -> Object:
    type_, state, reason, message = found
    old = next((c for c in before.get("conditions") or () if c["type"] == type_), None)
    stamp = timestamps.format_time(now)
    since = old.get("lastTransitionTime", stamp) if old is not None and old["status"] == state else stamp
    return {
        "type": type_,
        "status": state,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def capacity(machine: Machine, config: KubeletConfig) -> Object:
    return _resources(machine, machine.cpus * 1000, machine.memory_bytes, machine.disk_bytes, pods(machine, config))


def allocatable(machine: Machine, config: KubeletConfig) -> Object:
    """What pods may ask for."""
    kept = reserved(machine, config)
    return _resources(
        machine,
        max(0, machine.cpus * 1000 - kept["cpu"] // 1_000_000),
        max(0, machine.memory_bytes - kept["memory"] // NANOS),
        max(0, machine.disk_bytes - kept["ephemeral-storage"] // NANOS),
        pods(machine, config),
    )


def gone_pages(node: Object, machine: Machine) -> dict[str, None]:
    """Huge pages of sizes that the Node has and this machine has not (any more): upstream removes them at its start."""
    known = dig(node, "status", "capacity", default={})
    return {name: None for name in known if name.startswith("hugepages-") and name not in machine.huge_pages}


def pods(machine: Machine, config: KubeletConfig) -> int:
    """How many the node takes."""
    by_cores = machine.cpus * config.pods_per_core
    return min(by_cores, config.max_pods) if by_cores else config.max_pods


def reserved(machine: Machine, config: KubeletConfig) -> dict[str, int]:
    """What pods may not ask for, in nanos: what is reserved, and what the hard thresholds keep free."""
    kept = dict.fromkeys(("cpu", "memory", "ephemeral-storage"), 0)
    for name, amount in config.reserved:
        kept[name] = kept.get(name, 0) + amount.nanos
    for threshold in config.eviction.thresholds:
        of = {"memory.available": "memory", "nodefs.available": "ephemeral-storage"}.get(threshold.signal)
        if of is not None and threshold.grace is None:
            whole = machine.memory_bytes if of == "memory" else machine.disk_bytes
            kept[of] += threshold.value.of(whole).nanos
    return kept


def _resources(machine: Machine, milli_cpus: int, memory_bytes: int, disk_bytes: int, pods: int) -> Object:
    return {
        "cpu": str(milli_cpus // 1000) if milli_cpus % 1000 == 0 else f"{milli_cpus}m",
        "memory": f"{memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{disk_bytes // 1024}Ki",
        "pods": str(pods),
        **{name: str(size) for name, size in machine.huge_pages.items()},
    }


def _images(images: Iterable[tuple[Sequence[str], int]], most: int) -> list[Object]:
    """The largest; -1 is all of them."""
    largest = sorted(images, key=lambda image: -image[1])[: most if most >= 0 else None]
    return [{"names": list(names), "sizeBytes": size} for names, size in largest]


def _taint(text: str) -> Object:
    """`key[=value]:Effect`."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
