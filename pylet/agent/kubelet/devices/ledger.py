"""Which devices there are on the node, and who has them. Pure state: told and asked, it does nothing by itself.

Source: upstream `pkg/kubelet/cm/devicemanager/{manager,pod_devices}.go`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from pylet.agent.kubelet.devices.messages import HEALTHY, Device, Given
from pylet.agent.kubelet.provided import CannotProvide

_GRACE_SECONDS = 300.0
NOWHERE = -1
"""The NUMA node of devices that are near none."""


@dataclass(slots=True)
class Resource:
    """What one plugin offers. `stopped_at` is when it was last heard (monotonic), None while it is there.

    `devices` stay as they were told last; none of them is `healthy` while the plugin is away.
    """

    devices: dict[str, Device] = field(default_factory=dict)
    healthy: frozenset[str] = frozenset()
    stopped_at: float | None = None


@dataclass(frozen=True, slots=True)
class Grant:
    """`numa` are the ids by the NUMA node they are near to, NOWHERE among them."""

    numa: Mapping[int, tuple[str, ...]]
    given: Given

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(id_ for ids in self.numa.values() for id_ in ids)


Grants = dict[str, dict[str, dict[str, Grant]]]
"""By pod's uid, container and resource."""


@dataclass(slots=True)
class Ledger:
    resources: dict[str, Resource] = field(default_factory=dict)
    grants: Grants = field(default_factory=dict)

    # ---- what plugins tell

    def listed(self, name: str, devices: Iterable[Device]) -> set[str]:
        """What the plugin has now; answers the uids of pods one of whose devices fares otherwise than before."""
        resource = self.resources.setdefault(name, Resource())
        before, resource.devices = resource.devices, {device.id: device for device in devices}
        resource.healthy = frozenset(id_ for id_, device in resource.devices.items() if device.health == HEALTHY)
        resource.stopped_at = None
        changed = {i for i, d in resource.devices.items() if i not in before or before[i].health != d.health}
        return {uid for uid, _, its, grant in self._granted() if its == name and changed & grant.ids}

    def connected(self, name: str) -> None:
        self.resources.setdefault(name, Resource()).stopped_at = None

    def disconnected(self, name: str, now: float) -> None:
        resource = self.resources[name]
        resource.healthy, resource.stopped_at = frozenset(), now

    def forget_stopped(self, now: float) -> list[str]:
        """Resources whose plugin has been away for too long."""
        gone = [
            name
            for name, resource in self.resources.items()
            if resource.stopped_at is not None and now - resource.stopped_at > _GRACE_SECONDS
        ]
        for name in gone:
            del self.resources[name]
        return gone

    # ---- who has what

    def is_known(self, name: str) -> bool:
        """Whether a plugin offers it, or did when it was granted."""
        return name in self.resources or any(its == name for _, _, its, _ in self._granted())

    def granted(self, uid: str, container: str) -> Mapping[str, Grant]:
        return self.grants.get(uid, {}).get(container, {})

    def in_use(self, name: str) -> frozenset[str]:
        return frozenset(id_ for _, _, its, grant in self._granted() if its == name for id_ in grant.ids)

    def free(self, name: str, held: Grant | None) -> frozenset[str]:
        """Healthy devices that nobody has; `held` is what who asks has already. Raises: CannotProvide."""
        resource = self.resources.get(name)
        if resource is None:
            raise CannotProvide(f"cannot allocate unregistered device {name}")
        if not resource.healthy:
            raise CannotProvide(f"no healthy devices present; cannot allocate unhealthy devices {name}")
        if held is not None and not held.ids <= resource.healthy:
            words = f"previously allocated devices are no longer healthy; cannot allocate unhealthy devices {name}"
            raise CannotProvide(words)
        return resource.healthy - self.in_use(name)

    def reusable(self, uid: str, name: str, passing: Collection[str]) -> frozenset[str]:
        """What `passing` containers of the pod had, and no other of its containers has."""
        held = {c: g[name].ids for c, g in self.grants.get(uid, {}).items() if name in g}
        passed, kept = (frozenset[str]().union(*(held[c] for c in held if (c in passing) is p)) for p in (True, False))
        return passed - kept

    def grant(self, uid: str, container: str, name: str, ids: Iterable[str], given: Given) -> None:
        numa: dict[int, tuple[str, ...]] = {}
        for id_ in ids:
            device = self.resources[name].devices.get(id_)
            for node in (device and device.numa) or (NOWHERE,):
                numa[node] = (*numa.get(node, ()), id_)
        self.grants.setdefault(uid, {}).setdefault(container, {})[name] = Grant(numa, given)

    def keep(self, uids: Collection[str]) -> bool:
        """Take back what pods that are no more had; whether there was any."""
        gone = self.grants.keys() - set(uids)
        for uid in gone:
            del self.grants[uid]
        return bool(gone)

    # ---- what the API is told

    def counts(self) -> dict[str, tuple[int, int]]:
        """Capacity and allocatable by resource."""
        return {name: (len(found.devices), len(found.healthy)) for name, found in self.resources.items()}

    def amounts_in_use(self) -> dict[str, int]:
        return {name: len(self.in_use(name)) for name in {its for _, _, its, _ in self._granted()}}

    def health(self, uid: str) -> dict[str, list[dict[str, object]]]:
        """`allocatedResourcesStatus` by container."""
        return {
            container: [
                {"name": name, "resources": [self._health(name, id_) for id_ in sorted(grant.ids)]}
                for name, grant in sorted(grants.items())
            ]
            for container, grants in self.grants.get(uid, {}).items()
        }

    def _health(self, name: str, id_: str) -> dict[str, object]:
        device = self.resources[name].devices.get(id_) if name in self.resources else None
        is_well = device is None or device.health == HEALTHY
        return {"resourceID": id_, "health": HEALTHY if is_well else "Unhealthy"}

    def _granted(self) -> Iterator[tuple[str, str, str, Grant]]:
        for uid, containers in self.grants.items():
            for container, grants in containers.items():
                for name, grant in grants.items():
                    yield uid, container, name, grant
