"""Which devices claims get on a node: all requests of all claims, one device after the other, trying others where the
rest does not work out; the first solution is the one. Pure but for `uuid5`, a hash.

A search that takes too many steps is given up (upstream stops a clock).

Source: upstream `dynamic-resource-allocation/structured/internal/incubating/allocator_incubating.go`.
"""

from __future__ import annotations

import uuid
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pylet.api.cel.environment import device_bindings
from pylet.api.object import Object, dig, key_of, uid_of
from pylet.api.quantity import Quantity
from pylet.client.view import View
from pylet.server.scheduler.decide import Broken
from pylet.server.scheduler.devices import capacity
from pylet.server.scheduler.devices.ledger import Ledger
from pylet.server.scheduler.devices.pools import CounterId, Device, DeviceId, Pool, pools_of
from pylet.server.scheduler.devices.requests import Asked, Request
from pylet.server.scheduler.model import NodeInfo

_MOST_RESULTS = 32
_MOST_STEPS = 50_000  # about ten milliseconds a thousand


class Choice(NamedTuple):
    request: Request
    device: Device
    taken: Mapping[str, Quantity]
    counted: Sequence[tuple[CounterId, int]]


class _TooMany(Exception):
    """What was chosen and what is needed still is more than a claim can have."""


def allocate(claims: Sequence[Asked], node: NodeInfo, view: View, ledger: Ledger) -> list[Object] | str:
    """The allocation of each claim, or why there is none on the node. Raises: Broken."""
    pools = pools_of(node, view)
    search = _Search(claims, node.name, pools, ledger)
    if search.is_found():
        return [_allocation(asked, each, node.name) for asked, each in zip(claims, search.choices, strict=True)]
    if any(pool.is_invalid for pool in pools):
        return "invalid resource pools were encountered"
    return "cannot allocate all claims"


class _Search:
    """What is chosen at the moment, and what that leaves."""

    def __init__(self, claims: Sequence[Asked], node: str, pools: Sequence[Pool], ledger: Ledger) -> None:
        """Raises: Broken."""
        self.choices: list[list[Choice]] = [[] for _ in claims]
        self._claims = claims
        self._node = node
        self._pools = pools
        self._ledger = ledger
        self._devices = [device for pool in pools for device in pool.devices]
        self._bindings: dict[DeviceId, Mapping[str, object]] = {}
        self._selected: dict[tuple[str, DeviceId], bool] = {}
        self._held: dict[DeviceId, Counter[int]] = {}  # by claim
        self._taken: dict[DeviceId, Counter[str]] = {}
        self._counters: dict[CounterId, int] | None = None  # what is left of them
        self._steps = 0
        self._every = {
            (at, request.name): self._all(request)
            for at, asked in enumerate(claims)
            for alternatives in asked.requests
            for request in alternatives
            if request.takes_all
        }
        for at, asked in enumerate(claims):
            least = sum(min(self._count(at, each) for each in alternatives) for alternatives in asked.requests)
            if least > _MOST_RESULTS:
                words = f"number of requested devices {least} exceeds the claim limit of {_MOST_RESULTS}"
                raise Broken(f"claim {key_of(asked.claim)}: {words}")

    def is_found(self) -> bool:
        """Raises: Broken."""
        try:
            return self._request(0, 0)
        except _TooMany:
            return False

    # ---- one after the other

    def _request(self, claim: int, number: int) -> bool:
        """Whether that request and all after it can be met. Raises: _TooMany."""
        if claim == len(self._claims):
            return True
        if number == len(self._claims[claim].requests):
            try:
                return self._request(claim + 1, 0)
            except _TooMany:
                return False
        alternatives, exceeded = self._claims[claim].requests[number], 0
        for request in alternatives:
            try:
                if self._next(claim, number, request, 0, 0):
                    return True
            except _TooMany:
                exceeded += 1
        if exceeded == len(alternatives):
            raise _TooMany
        return False

    def _next(self, claim: int, number: int, request: Request, already: int, start: int) -> bool:
        """Whether the request gets the devices it lacks, of those from `start` on, and all after it what they need."""
        self._steps += 1
        if self._steps > _MOST_STEPS:
            raise Broken(f"node {self._node}: timed out trying to allocate devices")
        count = self._count(claim, request)
        if request.takes_all and not count:
            return False
        if already >= count:
            return self._request(claim, number + 1)
        if len(self.choices[claim]) + count - already > _MOST_RESULTS:
            raise _TooMany
        devices = self._every[claim, request.name] if request.takes_all else self._devices
        for at in (already,) if request.takes_all else range(start, len(devices)):
            choice = self._choice(claim, request, devices[at])
            if choice is None:
                continue
            self._count_choice(claim, choice, 1)
            is_found = False
            try:
                is_found = self._next(claim, number, request, already + 1, at + 1)
            finally:
                if not is_found:
                    self._count_choice(claim, choice, -1)
            if is_found:
                return True
        return False

    def _count(self, claim: int, request: Request) -> int:
        count: int = len(self._every[claim, request.name]) if request.takes_all else request.spec.get("count", 1)
        return count

    def _count_choice(self, claim: int, choice: Choice, by: int) -> None:
        choices, device = self.choices[claim], choice.device
        choices[len(choices) if by > 0 else -1 :] = [choice] if by > 0 else []
        if device.is_shared:
            taken = self._taken.setdefault(device.id, Counter())
            taken.update({name: by * amount.nanos for name, amount in choice.taken.items()})
        held = self._held.setdefault(device.id, Counter())
        held[claim] += by
        if self._counters is not None:
            for counter, amount in choice.counted:
                self._counters[counter] -= by * amount

    # ---- one device

    def _choice(self, claim: int, request: Request, device: Device) -> Choice | None:
        """The device as the request would have it; None when it cannot. Raises: Broken."""
        if self._is_used(claim, request, device) or not self._is_selected(request, device):
            return None
        taken = self._share(request, device)
        if taken is None or not request.tolerates(device.spec.get("taints") or ()):
            return None
        is_in_use = device.is_shared and (
            device.id in self._ledger.shares or any(self._held.get(device.id, {}).values())
        )
        counted = () if is_in_use else tuple(device.consumes())
        if counted and not self._have(counted):
            return None
        if not self._agrees(claim, request, device):
            if request.takes_all:
                what = f"cannot add device {'/'.join(device.id)} because a claim constraint would not be satisfied"
                raise Broken(f"{request.words}: {what}")
            return None
        return Choice(request, device, taken if device.is_shared else {}, counted)

    def _is_used(self, claim: int, request: Request, device: Device) -> bool:
        held = self._held.get(device.id, Counter())
        if device.is_shared:
            return device.id in self._ledger.alone and not request.is_admin
        return bool(held[claim]) if request.is_admin else any(held.values()) or device.id in self._ledger.alone

    def _is_selected(self, request: Request, device: Device) -> bool:
        where = (f"{request.claim}/{request.name}", device.id)
        if where not in self._selected:
            bindings = self._bindings.get(device.id)
            if bindings is None:
                bindings = self._bindings[device.id] = device_bindings(device.id[0], device.spec)
            self._selected[where] = request.selects(bindings)
        return self._selected[where]

    def _share(self, request: Request, device: Device) -> Mapping[str, Quantity] | None:
        """What the request takes of the device; None when there is not as much left."""
        taken = capacity.consumption(request.spec, device.spec)
        others = [of[device.id] for of in (self._ledger.taken, self._taken) if device.id in of]
        return taken if taken is not None and capacity.fits(taken, device.spec, *others) else None

    def _have(self, counted: Sequence[tuple[CounterId, int]]) -> bool:
        if self._counters is None:
            self._counters = {counter: amount for pool in self._pools for counter, amount in pool.counters.items()}
            for device in (device for pool in self._pools for device in (*pool.devices, *pool.elsewhere)):
                if self._ledger.is_used(device.id):
                    for counter, amount in device.consumes():
                        self._counters[counter] -= amount
        return all(self._counters[counter] >= amount for counter, amount in counted)

    def _agrees(self, claim: int, request: Request, device: Device) -> bool:
        """Whether the device goes with those of the claim that its constraints compare it with."""
        for constraint in dig(self._claims[claim].claim, "spec", "devices", "constraints", default=()):
            names = constraint.get("requests") or ()
            if not request.is_among(names):
                continue
            match = constraint.get("matchAttribute")
            attribute = match or constraint["distinctAttribute"]
            value = device.attribute(attribute)
            if value is None:
                return False
            others = [c.device.attribute(attribute) for c in self.choices[claim] if c.request.is_among(names)]
            if any((other == value) != bool(match) for other in others):
                return False
        return True

    def _all(self, request: Request) -> list[Device]:
        """All that a request selects. Raises: Broken."""
        for pool in self._pools:
            if pool.is_incomplete or pool.is_invalid:
                state = "being updated" if pool.is_incomplete else "invalid"
                what = f"asks for all devices, but resource pool {'/'.join(pool.id)} is currently {state}"
                raise Broken(f"{request.words}: {what}")
        return [
            device
            for device in self._devices
            if self._is_selected(request, device) and self._share(request, device) is not None
        ]


def _allocation(asked: Asked, choices: Sequence[Choice], node: str) -> Object:
    devices: Object = {"results": [_result(asked.claim, at, choice) for at, choice in enumerate(choices)]}
    if config := _config(asked, choices):
        devices["config"] = config
    selector = _node_selector([choice.device for choice in choices], node)
    return {"devices": devices} | ({"nodeSelector": selector} if selector is not None else {})


def _result(claim: Object, at: int, choice: Choice) -> Object:
    request, device = choice.request, choice.device
    driver, pool, name = device.id
    result: Object = {"request": request.name, "driver": driver, "pool": pool, "device": name}
    if request.is_admin:
        result["adminAccess"] = True
    if request.spec.get("tolerations"):
        result["tolerations"] = request.spec["tolerations"]
    for conditions in ("bindingConditions", "bindingFailureConditions"):
        if device.spec.get(conditions):
            result[conditions] = device.spec[conditions]
    if device.is_shared:
        result["shareID"] = str(uuid.uuid5(uuid.UUID(int=at), "/".join((uid_of(claim), *device.id))))
        if choice.taken:
            result["consumedCapacity"] = {name: str(amount) for name, amount in choice.taken.items()}
    return result


def _config(asked: Asked, choices: Sequence[Choice]) -> list[Object]:
    """What classes and the claim tell drivers; that of a class once for all requests of it."""
    found: list[Object] = []
    requests = list({choice.request.name: choice.request for choice in choices}.values())
    classes = {request.device_class["metadata"]["name"]: request.device_class for request in requests}
    for name, device_class in classes.items():
        names = [request.name for request in requests if request.device_class["metadata"]["name"] == name]
        found += [{**c, "source": "FromClass", "requests": names} for c in device_class["spec"].get("config") or ()]
    for config in dig(asked.claim, "spec", "devices", "config", default=()):
        names = config.get("requests")
        means = sum(request.is_among(names) for request in requests) if names else 1
        found += [{**config, "source": "FromClaim"}] * means
    return found


def _node_selector(devices: Sequence[Device], node: str) -> Object | None:
    """The nodes that can use all the devices; None for any."""
    fields: list[Object] = []
    expressions: list[Object] = []
    for device in devices:
        if device.place.get("nodeName") or device.spec.get("bindsToNode"):
            here = {"key": "metadata.name", "operator": "In", "values": [node]}
            return {"nodeSelectorTerms": [{"matchFields": [here]}]}
        for term in dig(device.place, "nodeSelector", "nodeSelectorTerms", default=()):
            fields += [each for each in term.get("matchFields") or () if each not in fields]
            expressions += [each for each in term.get("matchExpressions") or () if each not in expressions]
    term = {"matchFields": fields, "matchExpressions": expressions}
    term = {name: each for name, each in term.items() if each}
    return {"nodeSelectorTerms": [term]} if term else None
