"""The ResourceClaims of a pod to place: which are allocated, how the others would be on a node, and what is to be
written before the pod may go there. Pure.

Source: upstream `plugins/dynamicresources/dynamicresources.go`, `dynamic-resource-allocation/resourceclaim`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.nodeaffinity import matches_any
from pylet.api.object import Key, Object, condition_of, controller_of, dig, is_terminating, key_of, uid_of
from pylet.client.view import View
from pylet.server.scheduler.devices import extended
from pylet.server.scheduler.devices.allocation import allocate
from pylet.server.scheduler.devices.extended import Extended
from pylet.server.scheduler.devices.ledger import Ledger, is_allocated, results_of
from pylet.server.scheduler.devices.requests import Asked, NoClass
from pylet.server.scheduler.model import NodeInfo, Pending

_MOST_ALTERNATIVES = 8
UNAVAILABLE = "resourceclaim not available on the node"


class Waiting(Exception):
    """The pod's claims are such that no node will do; the message says why."""


class Failed(Exception):
    """A device will not be ready for the pod; the message says why."""


@dataclass(frozen=True, slots=True)
class Claims:
    """Of one pod: those allocated, and those to allocate."""

    allocated: Sequence[Object]
    asked: Sequence[Asked]
    classes: Mapping[str, str] = field(default_factory=dict)
    """Of extended resources, where a node does not have them: see `extended`."""

    def special(self, pod: Pending, node: NodeInfo) -> Extended | None:
        """What has to be claimed there beside."""
        names = extended.claimed(self.classes, node)
        return extended.special(pod, names) if names else None


def claims_of(pod: Pending, view: View, ledger: Ledger) -> Claims:
    """Raises: Waiting."""
    allocated: list[Object] = []
    asked: list[Asked] = []
    for claim in existing(pod, view):
        if is_allocated(claim):
            allocated.append(claim)
        elif uid_of(claim) in ledger.assumed:
            raise Waiting(f"resource claim {key_of(claim)} is in the process of being allocated")
        else:
            try:
                asked.append(Asked.of(claim, view))
            except NoClass as missing:
                raise Waiting(str(missing)) from missing
    classes = extended.classes(pod, view)
    if classes and extended.made_before(pod, view) is not None:
        raise Waiting("cannot schedule extended resource claim")
    return Claims(allocated, asked, classes)


def existing(pod: Pending, view: View) -> Iterator[Object]:
    """Raises: Waiting, where one is not there."""
    statuses = {each["name"]: each for each in dig(pod.pod, "status", "resourceClaimStatuses", default=())}
    for wanted in pod.spec.get("resourceClaims") or ():
        name = wanted.get("resourceClaimName")
        is_made = name is None
        if is_made:
            if wanted["name"] not in statuses:
                raise Waiting(f'pod "{pod.key}": ResourceClaim not created yet')
            name = statuses[wanted["name"]].get("resourceClaimName")
            if name is None:
                continue  # none was needed
        key = Key(pod.namespace, name)
        claim = view.get(CLAIM, key)
        if claim is None:
            raise Waiting(f'could not find ResourceClaim "{key}"')
        if is_terminating(claim):
            raise Waiting(f'resourceclaim "{name}" is being deleted')
        if is_made and (controller_of(claim) or {}).get("uid") != pod.uid:
            raise Waiting(f"ResourceClaim {key} was not created for Pod {pod.key} (Pod is not owner)")
        yield claim


def plan(claims: Claims, pod: Pending, node: NodeInfo, view: View, ledger: Ledger) -> list[Object] | str:
    """The allocations made for the pod to go there, its special claim's the last, or why it cannot. Raises: Broken."""
    asked = claims.asked
    if (special := claims.special(pod, node)) is not None:
        asked = [*asked, Asked.of(special.claim, view)]
    found: list[Object] | str = allocate(asked, node, view, ledger) if asked else []
    if isinstance(found, str) or all(_is_available(claim, node) for claim in claims.allocated):
        return found
    return UNAVAILABLE


def _is_available(claim: Object, node: NodeInfo) -> bool:
    selector = claim["status"]["allocation"].get("nodeSelector")
    if selector is not None and not matches_any(selector.get("nodeSelectorTerms") or (), node.name, node.labels):
        return False
    try:
        is_ready(claim)
    except Failed:
        return False
    return True


def worth(claims: Claims, allocations: Sequence[Object]) -> int:
    """How much of what the pod would rather have it gets: earlier alternatives count more."""
    total = 0
    for asked, allocation in zip(claims.asked, allocations, strict=False):
        got = {result["request"] for result in allocation["devices"]["results"]}
        for alternatives in asked.requests:
            if "/" in alternatives[0].name:
                total += sum(_MOST_ALTERNATIVES - at for at, each in enumerate(alternatives) if each.name in got)
    return total


def has_alternatives(claims: Claims) -> bool:
    return any("/" in each[0].name for asked in claims.asked for each in asked.requests)


def is_reserved(claim: Object, uid: str) -> bool:
    return any(holder["uid"] == uid for holder in dig(claim, "status", "reservedFor", default=()))


def is_ready(claim: Object) -> bool:
    """Whether all its devices can be used; drivers of some need to get them to the node first. Raises: Failed."""
    for result in results_of(claim):
        if not result.get("bindingConditions"):
            continue
        device = _status(claim, result)
        if device is None:
            return False
        for type_ in result.get("bindingFailureConditions") or ():
            failed = condition_of({"status": device}, type_) or {}
            if failed.get("status") == "True":
                what = f"claim={claim['metadata']['name']}, reason={failed.get('reason', '')}"
                message = failed.get("message", "").replace('"', '\\"')
                raise Failed(f'device binding failed: {what}, message="{message}"')
        wanted = (condition_of({"status": device}, type_) or {} for type_ in result["bindingConditions"])
        if any(condition.get("status") != "True" for condition in wanted):
            return False
    return True


def _status(claim: Object, result: Object) -> Object | None:
    names = ("driver", "pool", "device")
    return next(
        (
            device
            for device in dig(claim, "status", "devices", default=())
            if all(device.get(name) == result[name] for name in names)
        ),
        None,
    )


@dataclass(slots=True)
class Reservation:
    """What must come true before the pod may go to its node: its claims, each with the allocation made for it.

    The last of them is to be made where `mappings` say what for.
    """

    claims: list[tuple[Object, Object | None]]
    mappings: Sequence[Object] = ()

    def is_ready(self, view: View) -> bool:
        """Raises: Failed."""
        return not self.unready(view)

    def unready(self, view: View) -> list[Object]:
        """Claims whose devices cannot be used yet. Raises: Failed."""
        current = (view.get(CLAIM, key_of(claim)) for claim, _ in self.claims)
        return [claim for claim in current if claim is not None and not is_ready(claim)]


def assume(pod: Pending, node: NodeInfo, view: View, ledger: Ledger) -> Reservation:
    """Have the devices that the pod gets on the node count as given from now on."""
    found = claims_of(pod, view, ledger)
    planned = plan(found, pod, node, view, ledger)
    assert not isinstance(planned, str), "the pod was found to fit there"
    special = found.special(pod, node)
    claims: list[tuple[Object, Object | None]] = [(claim, None) for claim in found.allocated]
    asked = [*(each.claim for each in found.asked), *((special.claim,) if special is not None else ())]
    for claim, allocation in zip(asked, planned, strict=True):
        claims.append((claim, allocation))
        ledger.assume({**claim, "status": {**(claim.get("status") or {}), "allocation": allocation}})
    return Reservation(claims, special.mappings if special is not None else ())


def useless(pod: Pending, view: View, nodes: Iterable[NodeInfo]) -> Object | None:
    """An allocated claim that keeps the pod from nodes, and that nobody else has."""
    if (left := extended.made_before(pod, view)) is not None:
        return left
    for claim in existing(pod, view):
        is_idle = all(holder["uid"] == pod.uid for holder in dig(claim, "status", "reservedFor", default=()))
        if is_allocated(claim) and is_idle and not all(_is_available(claim, node) for node in nodes):
            return claim
    return None


def deallocated(claim: Object) -> Object:
    dropped = ("allocation", "reservedFor", "devices")
    return {**claim, "status": {name: value for name, value in claim["status"].items() if name not in dropped}}
