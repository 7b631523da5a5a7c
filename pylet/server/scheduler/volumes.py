"""The volumes of a pod to place: which claims are bound, which would be, and what must be written first. Pure.

Volumes given to claims of pods that are on their way (assumed) count as given. Which volume suits is the binder's
question too, and answered in `api.volumebinding`.

Source: upstream `plugins/volumebinding/binder.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from pylet.api import quantity, selector
from pylet.api.kinds.csidriver import KIND as DRIVER
from pylet.api.kinds.csistoragecapacity import KIND as CAPACITY
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.storageclass import KIND as CLASS
from pylet.api.object import Key, Object, annotations_of, dig, is_terminating, key_of, owners_of
from pylet.api.volumebinding import (
    BIND_COMPLETED,
    SELECTED_NODE,
    best_match,
    bound_volume,
    class_of,
    is_reserved_for,
    reaches,
    requested,
    waits_for_consumer,
)
from pylet.client.view import View
from pylet.server.scheduler.model import NodeInfo, Pending, claim_of

_NO_PROVISIONER = "kubernetes.io/no-provisioner"
_NO_MATCH = "node(s) didn't find available persistent volumes to bind"
_UNREACHABLE = "node(s) didn't match PersistentVolume's node affinity"
_NO_ROOM = "node(s) did not have enough free storage"
_NO_VOLUME = "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"


class Unusable(Exception):
    """The pod's claims are such that no node will do; the message says why."""


@dataclass(slots=True)
class Assumed:
    """What pods on their way will have: volumes by name with the claim they go to, claims with their chosen node."""

    volumes: dict[str, Object] = field(default_factory=dict)
    claims: dict[Key, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Claims:
    """Of one pod: those bound, and those that wait for its node, the smallest first."""

    bound: tuple[Object, ...] = ()
    waiting: tuple[Object, ...] = ()


@dataclass(frozen=True, slots=True)
class Binding:
    """What must come true before the pod may go to its node: volumes to give, and claims to provision for it."""

    node: str
    volumes: tuple[tuple[Object, Object], ...] = ()
    """Each with its claim."""
    claims: tuple[Object, ...] = ()


def claims_of(pod: Pending, view: View) -> Claims | None:
    """None when the pod has none. Raises: Unusable."""
    if not pod.claims:
        return None
    bound: list[Object] = []
    waiting: list[Object] = []
    immediate = False
    for volume in pod.spec["volumes"]:
        name = claim_of(volume, pod.key.name)
        if not name:
            continue
        claim = _claim(pod, name, view, is_ephemeral="ephemeral" in volume)
        if is_fully_bound(claim):
            bound.append(claim)
        elif not claim["spec"].get("volumeName") and waits_for_consumer(view.get(CLASS, Key("", class_of(claim)))):
            waiting.append(claim)
        else:
            immediate = True
    if immediate:
        raise Unusable("pod has unbound immediate PersistentVolumeClaims")
    return Claims(tuple(bound), tuple(sorted(waiting, key=requested)))


def _claim(pod: Pending, name: str, view: View, *, is_ephemeral: bool) -> Object:
    claim = view.get(CLAIM, Key(pod.namespace, name))
    if claim is None:
        if is_ephemeral:
            says = f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
            raise Unusable(says)
        raise Unusable(f'persistentvolumeclaim "{name}" not found')
    if dig(claim, "status", "phase") == "Lost":
        lost = claim["spec"].get("volumeName", "")
        raise Unusable(f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{lost}"')
    if is_terminating(claim):
        raise Unusable(f'persistentvolumeclaim "{name}" is being deleted')
    if is_ephemeral and not any(owner.get("controller") and owner["uid"] == pod.uid for owner in owners_of(claim)):
        says = f"PVC {pod.namespace}/{name} was not created for pod {pod.key} (pod is not owner)"
        raise Unusable(says)
    return claim


def is_fully_bound(claim: Object) -> bool:
    """Its status says so, too: that comes last, and a node whose pod comes before it warns that it cannot mount."""
    is_bound = bool(claim["spec"].get("volumeName")) and BIND_COMPLETED in annotations_of(claim)
    return is_bound and dig(claim, "status", "phase", default="Pending") != "Pending"


def candidates(claims: Claims, view: View, assumed: Assumed) -> Mapping[str, list[Object]]:
    """By class, the volumes that waiting claims may get."""
    classes = {class_of(claim) for claim in claims.waiting}
    found: dict[str, list[Object]] = {name: [] for name in classes}
    if classes:
        for entry in view.table(VOLUME).entries.values():
            volume = assumed.volumes.get(entry.key.name) or entry.object
            name = class_of(volume)
            if name in found:
                found[name].append(volume)
    return found


def plan(
    claims: Claims, volumes: Mapping[str, list[Object]], node: NodeInfo, view: View, assumed: Assumed
) -> Binding | tuple[str, ...]:
    """What binding the pod to that node takes, or why it cannot go there."""
    reasons = list(_bound_reasons(claims.bound, node, view))
    binding = _waiting(claims.waiting, volumes, node, view, assumed)
    if isinstance(binding, str):
        reasons.append(binding)
    if reasons or isinstance(binding, str):
        return tuple(reason for reason in (_UNREACHABLE, _NO_MATCH, _NO_ROOM, _NO_VOLUME) if reason in reasons)
    return binding


def _bound_reasons(bound: Iterable[Object], node: NodeInfo, view: View) -> Iterable[str]:
    for claim in bound:
        volume = view.get(VOLUME, Key("", claim["spec"]["volumeName"]))
        if volume is None:
            yield _NO_VOLUME
            return
        if not reaches(volume, node.name, node.labels):
            yield _UNREACHABLE
            return


def _waiting(
    waiting: Iterable[Object], volumes: Mapping[str, list[Object]], node: NodeInfo, view: View, assumed: Assumed
) -> Binding | str:
    found = Binding(node.name)
    to_provision: list[Object] = []
    chosen: set[str] = set()
    for claim in waiting:
        selected = assumed.claims.get(key_of(claim)) or annotations_of(claim).get(SELECTED_NODE)
        if selected is not None:
            if selected != node.name:
                return _NO_MATCH
            to_provision.append(claim)
            continue
        free = [volume for volume in volumes[class_of(claim)] if volume["metadata"]["name"] not in chosen]
        match = best_match(claim, free, reaches=lambda volume: reaches(volume, node.name, node.labels))
        if match is None:
            to_provision.append(claim)
        else:
            chosen.add(match["metadata"]["name"])
            found = replace(found, volumes=(*found.volumes, (match, claim)))
    for claim in to_provision:
        refused = _provisioning(claim, node, view)
        if refused is not None:
            return refused
    return replace(found, claims=tuple(to_provision))


def _provisioning(claim: Object, node: NodeInfo, view: View) -> str | None:
    """Why the claim cannot be provisioned for the node."""
    storage_class = view.get(CLASS, Key("", class_of(claim)))
    if storage_class is None or storage_class.get("provisioner") in (None, "", _NO_PROVISIONER):
        return _NO_MATCH
    topologies = storage_class.get("allowedTopologies")
    if topologies and not any(_in_topology(term, node.labels) for term in topologies):
        return _NO_MATCH
    driver = view.get(DRIVER, Key("", storage_class["provisioner"]))
    if driver is None or not dig(driver, "spec", "storageCapacity", default=False):
        return None
    size, name = requested(claim), storage_class["metadata"]["name"]
    for capacity in view.select(CAPACITY):
        limit = volume_limit(capacity)
        if capacity.get("storageClassName") != name or limit is None or limit < size:
            continue
        topology = capacity.get("nodeTopology")
        if topology is not None and selector.from_object(topology)(node.labels):
            return None
    return _NO_ROOM


def volume_limit(capacity: Object) -> int | None:
    """The largest volume, in 10⁻⁹ bytes, that a CSIStorageCapacity speaks of."""
    found = capacity.get("maximumVolumeSize") or capacity.get("capacity")
    return None if found is None else quantity.parse(str(found)).nanos


def _in_topology(term: Object, labels: Mapping[str, str]) -> bool:
    return all(
        labels.get(expression["key"]) in expression["values"] for expression in term.get("matchLabelExpressions") or ()
    )


def assume(binding: Binding, assumed: Assumed) -> Binding:
    """Have what is bound count as given from now on; the volumes come back as they are to be written."""
    volumes = []
    for volume, claim in binding.volumes:
        given = bound_volume(volume, claim) or volume
        assumed.volumes[volume["metadata"]["name"]] = given
        volumes.append((given, claim))
    for claim in binding.claims:
        assumed.claims[key_of(claim)] = binding.node
    return replace(binding, volumes=tuple(volumes))


def forget(binding: Binding, assumed: Assumed) -> None:
    for volume, _ in binding.volumes:
        assumed.volumes.pop(volume["metadata"]["name"], None)
    for claim in binding.claims:
        assumed.claims.pop(key_of(claim), None)


def is_done(binding: Binding, view: View) -> bool:
    """Whether all its claims are bound. Raises: Unusable when they never will be."""
    for volume, claim in binding.volumes:
        name = volume["metadata"]["name"]
        current = view.get(VOLUME, Key("", name))
        if current is None or not is_reserved_for(current, claim):
            raise Unusable(f'ClaimRef got reset for pv "{name}"')
        if not is_fully_bound(_again(claim, view)):
            return False
    for claim in binding.claims:
        now = _again(claim, view)
        if annotations_of(now).get(SELECTED_NODE) != binding.node:
            raise Unusable(f'provisioning failed for PVC "{claim["metadata"]["name"]}"')
        if not is_fully_bound(now):
            return False
    return True


def _again(claim: Object, view: View) -> Object:
    now = view.get(CLAIM, key_of(claim))
    if now is None:
        raise Unusable(f'failed to check binding: could not find v1.PersistentVolumeClaim "{key_of(claim)}"')
    return now
