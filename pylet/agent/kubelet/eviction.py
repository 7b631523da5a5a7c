"""When the node runs short: which thresholds are crossed, what the node says of itself, and who has to go. Pure.

Source: upstream `pkg/kubelet/eviction/{eviction_manager,helpers}.go`, messages and defaults included.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum

from pylet.agent.kubelet.manifests import MIRROR, is_static
from pylet.api import podresources
from pylet.api.object import Object, annotations_of
from pylet.api.quantity import NANOS, Format, Quantity, parse

REASON = "Evicted"
MEMORY, DISK, PIDS = "MemoryPressure", "DiskPressure", "PIDPressure"
CRITICAL_PRIORITY = 2_000_000_000
ALLOCATABLE_MEMORY = "allocatableMemory.available"
"""What is left of the memory that pods may use together: hard thresholds of the node's memory are this one's, too."""
_SIGNALS = {
    "memory.available": (MEMORY, "memory"),
    ALLOCATABLE_MEMORY: (MEMORY, "memory"),
    "nodefs.available": (DISK, "ephemeral-storage"),
    "nodefs.inodesFree": (DISK, "inodes"),
    "imagefs.available": (DISK, "ephemeral-storage"),
    "imagefs.inodesFree": (DISK, "inodes"),
    "pid.available": (PIDS, "pids"),
}
"""By signal: the node's condition and the resource it runs short of."""


_NONE = Quantity(0)


@dataclass(frozen=True, slots=True)
class Amount:
    """So much of a resource: a quantity, or a part of the whole where `fraction` is given."""

    quantity: Quantity = _NONE
    fraction: float | None = None

    def of(self, capacity: int) -> Quantity:
        if self.fraction is None:
            return self.quantity
        return Quantity(int(capacity * self.fraction) * NANOS, Format.BINARY_SI)


@dataclass(frozen=True, slots=True)
class Threshold:
    """Crossed while less than `value` is available; acted on at once, or after `grace` without a break."""

    signal: str
    value: Amount
    grace: timedelta | None = None
    reclaim: Amount | None = None
    """How much more than `value` must be free again before the threshold counts as left."""

    @property
    def condition(self) -> str:
        return _SIGNALS[self.signal][0]

    @property
    def resource(self) -> str:
        return _SIGNALS[self.signal][1]


@dataclass(frozen=True, slots=True)
class Policy:
    thresholds: tuple[Threshold, ...]
    transition: timedelta = timedelta(minutes=5)
    """How long a condition stays after its cause was seen last."""
    max_grace_seconds: int = 0
    """The longest a pod that leaves for a soft threshold gets."""


DEFAULT_HARD = {
    "memory.available": "100Mi",
    "nodefs.available": "10%",
    "nodefs.inodesFree": "5%",
    "imagefs.available": "15%",
    "imagefs.inodesFree": "5%",
}


class BadThreshold(ValueError):
    """What the configuration says is none: the message says why, as upstream words it."""


def thresholds(
    hard: Mapping[str, str],
    soft: Mapping[str, str] | None = None,
    soft_grace: Mapping[str, timedelta] | None = None,
    reclaim: Mapping[str, str] | None = None,
    *,
    of_pods: bool = True,
) -> tuple[Threshold, ...]:
    """`of_pods`: those of memory hold for what pods may use together, too. Raises: BadThreshold."""
    least = {signal: _amount(signal, text) for signal, text in (reclaim or {}).items()}
    found = [Threshold(name, _amount(name, text), None, least.get(name)) for name, text in hard.items()]
    for name, text in (soft or {}).items():
        if name not in (soft_grace or {}):
            raise BadThreshold(f"grace period must be specified for the soft eviction threshold {name}")
        found.append(Threshold(name, _amount(name, text), (soft_grace or {})[name], least.get(name)))
    if of_pods:
        own = [each for each in found[: len(hard)] if each.signal == "memory.available"]
        found += [replace(each, signal=ALLOCATABLE_MEMORY) for each in own]
    return tuple(threshold for threshold in found if threshold.value.fraction != 0)  # 0% switches one off


def _amount(signal: str, text: str) -> Amount:
    if signal not in _SIGNALS:
        raise BadThreshold(f"unsupported eviction signal {signal}")
    try:
        if not text.endswith("%"):
            quantity = parse(text)
            if quantity.nanos < 0:
                raise BadThreshold(f"eviction threshold {signal} must be positive: {text}")
            return Amount(quantity)
        percent = float(text[:-1])
    except ValueError as bad:
        raise BadThreshold(str(bad)) from bad
    if not 0 <= percent <= 100:
        raise BadThreshold(f"eviction percentage threshold {signal} must be >= 0% and <= 100%: {text}")
    return Amount(fraction=percent / 100)


# ---- what is so, and what follows


@dataclass(frozen=True, slots=True)
class Observation:
    available: Quantity
    capacity: int


@dataclass(frozen=True, slots=True)
class State:
    """What has to be remembered from one look to the next."""

    first_seen: Mapping[Threshold, datetime] = field(default_factory=dict)
    acting: tuple[Threshold, ...] = ()
    last_seen: Mapping[str, datetime] = field(default_factory=dict)
    """By condition: when a threshold of it was crossed last."""

    @property
    def conditions(self) -> frozenset[str]:
        return frozenset(self.last_seen)


def look(policy: Policy, before: State, seen: Mapping[str, Observation], now: datetime) -> State:
    """The state after having seen how much is left, by signal."""
    unresolved = crossed(before.acting, seen, with_reclaim=True)
    met = dict.fromkeys((*crossed(policy.thresholds, seen), *unresolved))
    first = {threshold: before.first_seen.get(threshold, now) for threshold in met}
    last = dict(before.last_seen) | {threshold.condition: now for threshold in met}
    return State(
        first,
        tuple(threshold for threshold, since in first.items() if now - since >= (threshold.grace or timedelta(0))),
        {condition: when for condition, when in last.items() if now - when < policy.transition or when == now},
    )


def crossed(
    policy: Iterable[Threshold], seen: Mapping[str, Observation], *, with_reclaim: bool = False
) -> list[Threshold]:
    found = []
    for threshold in policy:
        if (observed := seen.get(threshold.signal)) is None:
            continue
        least = threshold.value.of(observed.capacity).nanos
        if with_reclaim and threshold.reclaim is not None:
            least += threshold.reclaim.of(observed.capacity).nanos
        if least > observed.available.nanos:
            found.append(threshold)
    return found


def most_urgent(acting: Sequence[Threshold]) -> Threshold | None:
    """Memory first: who runs out of it is killed by the kernel, whoever that is."""
    return min(acting, key=lambda threshold: threshold.condition != MEMORY, default=None)


# ---- who has to go


class Disk(Enum):
    """Of which disk it is looked at what a pod has there."""

    ONLY = "all it has: images are on the node's own"
    NODE = "its logs and volumes"
    IMAGES = "its writable layers"


def disk_of(signal: str, *, images_apart: bool) -> Disk:
    """`images_apart`: images and writable layers have a disk of their own."""
    if not images_apart:
        return Disk.ONLY
    return Disk.IMAGES if signal.startswith("imagefs.") else Disk.NODE


@dataclass(frozen=True, slots=True)
class ContainerLoad:
    name: str
    memory_bytes: int | None = None
    disk_bytes: int | None = None
    """Of its writable layer and its logs."""


@dataclass(frozen=True, slots=True)
class PodLoad:
    """What a pod uses; `measured` is False where nobody could say."""

    pod: Object
    memory_bytes: int = 0
    disk_bytes: int = 0
    inodes: int = 0
    processes: int = 0
    containers: tuple[ContainerLoad, ...] = ()
    measured: bool = True


def ranked(loads: Iterable[PodLoad], resource: str) -> list[PodLoad]:
    """Who goes first; without those that never go."""
    candidates = [load for load in loads if not is_critical(load.pod)]

    def order(load: PodLoad) -> tuple[bool, bool, int, int]:
        used = _used(load, resource)
        asked = _asked(load.pod, "memory" if resource == "memory" else "ephemeral-storage")
        priority = load.pod["spec"].get("priority") or 0
        if resource == "pids":
            return False, False, priority, -used
        of_inodes = resource == "inodes"  # nobody asks for inodes: whoever has one has more than was asked for
        exceeds = used > (0 if of_inodes else asked)
        return load.measured, not exceeds, priority, asked - used

    return sorted(candidates, key=order)


def is_critical(pod: Object) -> bool:
    return is_static(pod) or MIRROR in annotations_of(pod) or (pod["spec"].get("priority") or 0) >= CRITICAL_PRIORITY


def _used(load: PodLoad, resource: str) -> int:
    match resource:
        case "memory":
            return load.memory_bytes
        case "inodes":
            return load.inodes
        case "pids":
            return load.processes
    return load.disk_bytes


def _asked(pod: Object, resource: str) -> int:
    found = podresources.requests(pod).get(resource)
    return found.nanos // NANOS if found is not None else 0


def grace_seconds(policy: Policy, threshold: Threshold, pod: Object) -> int:
    """1 where it is urgent: upstream's `immediateEvictionGracePeriodSeconds`."""
    if threshold.grace is None:
        return 1
    own = pod["spec"].get("terminationGracePeriodSeconds")
    return policy.max_grace_seconds if own is None else min(policy.max_grace_seconds, own)


def message(
    load: PodLoad, resource: str, acting: Iterable[Threshold], seen: Mapping[str, Observation]
) -> tuple[str, dict[str, str]]:
    """What is told of it, and the same as annotations of the event."""
    text = f"The node was low on resource: {resource}. "
    for threshold in acting:
        if threshold.resource == resource and (observed := seen.get(threshold.signal)) is not None:
            least = threshold.value.of(observed.capacity)
            text += f"Threshold quantity: {least}, available: {observed.available}. "
            break
    if not load.measured:
        return text, {}
    annotations: dict[str, str] = {}
    own = ((load.pod["spec"].get("resources") or {}).get("requests") or {}).get(resource)
    if resource == "memory" and own is not None:
        name = load.pod["metadata"]["name"]
        used = str(_bytes(load.memory_bytes))
        text += f"Pod {name} was using {used}, request is {own}, has larger consumption of {resource}. "
        annotations |= {"offending_pod": name, "offending_pod_usage": used}
    spec = load.pod["spec"]
    containers = {c["name"]: c for c in (*spec["containers"], *(spec.get("initContainers") or ()))}
    exceeding: dict[str, str] = {}
    for container in load.containers:
        amount = {"memory": container.memory_bytes, "ephemeral-storage": container.disk_bytes}.get(resource)
        if amount is None or container.name not in containers:
            continue
        asked = parse(((containers[container.name].get("resources") or {}).get("requests") or {}).get(resource, "0"))
        if amount * NANOS > asked.nanos:
            exceeding[container.name] = used = str(_bytes(amount))
            text += f"Container {container.name} was using {used}, request is {asked}, "
            text += f"has larger consumption of {resource}. "
    annotations["offending_containers"] = ",".join(exceeding)
    annotations["offending_containers_usage"] = ",".join(exceeding.values())
    annotations["starved_resource"] = resource
    return text, annotations


def _bytes(number: int) -> Quantity:
    return Quantity(number * NANOS, Format.BINARY_SI)
