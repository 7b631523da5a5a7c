"""Pools of devices that a node can use, out of ResourceSlices. Pure.

Of a pool only slices of its latest generation count; one whose slices are not all there is incomplete, one that
contradicts itself invalid: nothing is taken from either.

Source: upstream `dynamic-resource-allocation/structured/internal/incubating/pools_incubating.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pylet.api.kinds.resourceslice import KIND as SLICE
from pylet.api.nodeaffinity import matches_any
from pylet.api.object import Object, dig
from pylet.api.quantity import parse
from pylet.client.view import View
from pylet.server.scheduler.model import NodeInfo

PoolId = tuple[str, str]
"""Driver and pool."""
DeviceId = tuple[str, str, str]
"""Driver, pool and device."""
CounterId = tuple[PoolId, str, str]
"""Pool, counter set and counter."""


class Device(NamedTuple):
    id: DeviceId
    spec: Object
    slice: Object
    """The spec of the slice it is in."""

    @property
    def place(self) -> Object:
        """Says which nodes can use it."""
        return self.spec if self.slice.get("perDeviceNodeSelection") else self.slice

    @property
    def is_shared(self) -> bool:
        return bool(self.spec.get("allowMultipleAllocations"))

    def consumes(self) -> Iterable[tuple[CounterId, int]]:
        for consumption in self.spec.get("consumesCounters") or ():
            for name, counter in consumption["counters"].items():
                yield (self.id[:2], consumption["counterSet"], name), parse(counter["value"]).nanos

    def attribute(self, name: str) -> Object | None:
        attributes = self.spec.get("attributes") or {}
        domain, _, plain = name.partition("/")
        found: Object | None = attributes.get(name)
        return attributes.get(plain) if found is None and domain == self.id[0] else found


@dataclass(slots=True)
class Pool:
    id: PoolId
    devices: Sequence[Device] = ()
    """Those the node can use."""
    elsewhere: Sequence[Device] = ()
    """Others, that consume of the same counters."""
    counters: Mapping[CounterId, int] = field(default_factory=dict)
    is_incomplete: bool = False
    is_invalid: bool = False


def pools_of(node: NodeInfo, view: View) -> list[Pool]:
    """By name; those whose devices have conditions to wait for come last."""
    slices: dict[PoolId, list[Object]] = {}
    for name in (node.name, ""):
        for each in view.with_field(SLICE, "spec.nodeName", name):
            if _concerns(each["spec"], node):
                _add(slices, each)
    found = [pool for id_, each in slices.items() if (pool := _pool(id_, each, node, view)) is not None]
    return sorted(found, key=lambda pool: (any(d.spec.get("bindingConditions") for d in pool.devices), pool.id))


def reaches(place: Object, node: NodeInfo) -> bool:
    """Whether what says it is at that place can be used on the node."""
    if name := place.get("nodeName"):
        return bool(name == node.name)
    if place.get("allNodes"):
        return True
    return matches_any(dig(place, "nodeSelector", "nodeSelectorTerms", default=()), node.name, node.labels)


def _concerns(spec: Object, node: NodeInfo) -> bool:
    if spec.get("sharedCounters"):
        return True
    if spec.get("perDeviceNodeSelection"):
        return any(reaches(device, node) for device in spec.get("devices") or ())
    return reaches(spec, node)


def _add(slices: dict[PoolId, list[Object]], found: Object) -> None:
    pool = found["spec"]["pool"]
    others = slices.setdefault((found["spec"]["driver"], pool["name"]), [])
    if others and _generation(others[0]) < _generation(found):
        others.clear()
    if not others or _generation(others[0]) == _generation(found):
        others.append(found)


def _generation(of: Object) -> int:
    generation: int = of["spec"]["pool"].get("generation", 0)
    return generation


def _pool(id_: PoolId, slices: list[Object], node: NodeInfo, view: View) -> Pool | None:
    """None where it is being replaced by one that has nothing for this node."""
    every = slices
    if len(slices) != _count(slices):
        every = [
            each
            for each in view.with_field(SLICE, "spec.driver", id_[0])
            if each["spec"]["pool"]["name"] == id_[1] and _generation(each) >= _generation(slices[0])
        ]
        if any(_generation(each) > _generation(slices[0]) for each in every):
            return None
        if len(every) != _count(slices):
            return Pool(id_, is_incomplete=True)
    names = {each["metadata"]["name"] for each in slices}
    beyond = [each for each in every if each["metadata"]["name"] not in names]
    return _filled(id_, slices, _devices(id_, beyond), node)


def _filled(id_: PoolId, slices: list[Object], elsewhere: list[Device], node: NodeInfo) -> Pool:
    """`elsewhere`, which it takes over, are the devices in slices that do not concern the node."""
    here = _devices(id_, slices)
    sets = [counters for each in slices for counters in each["spec"].get("sharedCounters") or ()]
    counters = {
        (id_, each["name"], name): parse(counter["value"]).nanos
        for each in sets
        for name, counter in (each.get("counters") or {}).items()
    }
    is_invalid = (
        len({device.id for device in here}) < len(here)
        or len({each["name"] for each in sets}) < len(sets)
        or any(counter not in counters for device in (*here, *elsewhere) for counter, _ in device.consumes())
    )
    if is_invalid:
        return Pool(id_, is_invalid=True)
    usable: list[Device] = []
    for device in here:
        (usable if reaches(device.place, node) else elsewhere).append(device)
    return Pool(id_, usable, elsewhere, counters)


def _count(slices: list[Object]) -> int:
    count: int = slices[0]["spec"]["pool"].get("resourceSliceCount", 0)
    return count


def _devices(id_: PoolId, slices: list[Object]) -> list[Device]:
    return [
        Device((*id_, device["name"]), device, each["spec"])
        for each in sorted(slices, key=lambda each: str(each["metadata"]["name"]))
        for device in each["spec"].get("devices") or ()
    ]
