"""What the API is told of this node: the Node to register and its status. Pure: facts in, objects out.

Source: upstream `pkg/kubelet/kubelet_node_status.go` and `nodestatus/setters.go`, reasons and messages included.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from pylet.agent.kubelet.machine import Load, Machine
from pylet.api import timestamps
from pylet.api.object import Object
from pylet.version import VERSION

MAX_PODS = 110
_EVICT_BELOW_MEMORY_BYTES = 100 << 20  # upstream's default: memory.available<100Mi
_EVICT_BELOW_DISK = 0.10  # nodefs.available<10%
_EVICT_BELOW_INODES = 0.05  # nodefs.inodesFree<5%
_IMAGES_REPORTED = 50


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


def registration(identity: Identity, machine: Machine) -> Object:
    """The Node as this kubelet would create it; status comes separately."""
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
        "spec": {},
    }
    if identity.taints:
        node["spec"]["taints"] = [_taint(text) for text in identity.taints]
    return node


def status(
    identity: Identity,
    machine: Machine,
    load: Load,
    runtime: RuntimeFacts,
    before: Object,
    now: datetime,
) -> Object:
    """The status to report; transition times are kept from `before`, the status reported last."""
    pressures = (
        _pressure(
            "MemoryPressure",
            load.memory_available_bytes < _EVICT_BELOW_MEMORY_BYTES,
            ("KubeletHasInsufficientMemory", "kubelet has insufficient memory available"),
            ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
        ),
        _pressure(
            "DiskPressure",
            load.disk_available_bytes < machine.disk_bytes * _EVICT_BELOW_DISK
            or load.disk_free_inodes < load.disk_inodes * _EVICT_BELOW_INODES,
            ("KubeletHasDiskPressure", "kubelet has disk pressure"),
            ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
        ),
        _pressure(
            "PIDPressure",
            load.pids >= load.pids_max,
            ("KubeletHasInsufficientPID", "kubelet has insufficient PID available"),
            ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
        ),
    )
    if runtime.problem:
        ready = ("Ready", "False", "KubeletNotReady", runtime.problem)
    else:
        ready = ("Ready", "True", "KubeletReady", "kubelet is posting ready status")
    return {
        "addresses": [
            *({"type": "InternalIP", "address": address} for address in identity.addresses),
            {"type": "Hostname", "address": identity.name},
        ],
        "capacity": _resources(machine, machine.memory_bytes, machine.disk_bytes),
        "allocatable": _resources(
            machine,
            machine.memory_bytes - _EVICT_BELOW_MEMORY_BYTES,
            int(machine.disk_bytes * (1 - _EVICT_BELOW_DISK)),
        ),
        "conditions": [_condition(found, before, now) for found in (*pressures, ready)],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": identity.kubelet_port}} if identity.kubelet_port else {},
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
        },
        "images": _images(runtime.images),
    }


def is_worth_reporting(before: Object, after: Object) -> bool:
    """Whether anything but heartbeat times differs."""
    return _without_heartbeats(before) != _without_heartbeats(after)


def _without_heartbeats(status_: Object) -> Object:
    conditions = [
        {name: value for name, value in condition.items() if name != "lastHeartbeatTime"}
        for condition in status_.get("conditions") or ()
    ]
    return {**status_, "conditions": conditions}


def _pressure(type_: str, pressed: bool, bad: tuple[str, str], good: tuple[str, str]) -> tuple[str, str, str, str]:
    return (type_, "True", *bad) if pressed else (type_, "False", *good)


def _condition(found: tuple[str, str, str, str], before: Object, now: datetime) -> Object:
    type_, state, reason, message = found
    old = next((c for c in before.get("conditions") or () if c["type"] == type_), None)
    stamp = timestamps.format_time(now)
    since = old["lastTransitionTime"] if old is not None and old["status"] == state else stamp
    return {
        "type": type_,
        "status": state,
        "lastHeartbeatTime": stamp,
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def _resources(machine: Machine, memory_bytes: int, disk_bytes: int) -> Object:
    return {
        "cpu": str(machine.cpus),
        "memory": f"{memory_bytes // 1024}Ki",
        "ephemeral-storage": f"{disk_bytes // 1024}Ki",
        "pods": str(MAX_PODS),
        **{name: str(size) for name, size in machine.huge_pages.items()},
    }


def _images(images: Iterable[tuple[Sequence[str], int]]) -> list[Object]:
    largest = sorted(images, key=lambda image: -image[1])[:_IMAGES_REPORTED]
    return [{"names": list(names), "sizeBytes": size} for names, size in largest]


def _taint(text: str) -> Object:
    """`key[=value]:Effect`."""
    pair, _, effect = text.rpartition(":")
    key, _, value = pair.partition("=")
    return {"key": key, "effect": effect, **({"value": value} if value else {})}
