"""The writes that make a volume and a claim each other's, and those that part them. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pylet.api import quantity, timestamps
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.object import Object, annotations_of, dig
from pylet.api.volumebinding import BIND_COMPLETED, BOUND_BY_CONTROLLER, bound_volume
from pylet.server.reconcile.plan import Action, Emit, Update

_BEFORE_RESIZE = "volume.alpha.kubernetes.io/pre-resize-capacity"


def bind(volume: Object, claim: Object, now: datetime) -> Iterator[Action]:
    """The next of four writes: volume, its phase, claim, its status; none when all is done."""
    if (bound := bound_volume(volume, claim)) is not None:
        yield Update(VOLUME, bound)
    elif dig(volume, "status", "phase") != "Bound":
        yield from volume_phase(volume, "Bound", now)
    elif (settled := _bound_claim(claim, volume)) is not None:
        yield Update(CLAIM, settled)
    else:
        yield from claim_status(claim, "Bound", volume)


def unbind(volume: Object, now: datetime) -> Iterator[Action]:
    """Undo what the binder did; a volume its owner reserved stays reserved. It is Available afterwards."""
    annotations = annotations_of(volume)
    if BOUND_BY_CONTROLLER in annotations:
        spec = {name: value for name, value in volume["spec"].items() if name != "claimRef"}
        left = {name: value for name, value in annotations.items() if name != BOUND_BY_CONTROLLER}
        yield Update(VOLUME, {**volume, "metadata": {**volume["metadata"], "annotations": left}, "spec": spec})
    else:
        reference = {name: value for name, value in volume["spec"]["claimRef"].items() if name != "uid"}
        yield Update(VOLUME, {**volume, "spec": {**volume["spec"], "claimRef": reference}})


def volume_phase(volume: Object, phase: str, now: datetime) -> Iterator[Action]:
    before = volume.get("status") or {}
    if before.get("phase") != phase:
        status = {name: value for name, value in before.items() if name not in ("message", "reason")}
        status |= {"phase": phase, "lastPhaseTransitionTime": timestamps.format_time(now)}
        yield Update(VOLUME, {**volume, "status": status}, "status")


def failed(volume: Object, reason: str, says: str, now: datetime) -> Iterator[Action]:
    if dig(volume, "status", "phase") != "Failed":
        stamp = timestamps.format_time(now)
        status = {**volume["status"], "phase": "Failed", "message": says, "lastPhaseTransitionTime": stamp}
        yield Update(VOLUME, {**volume, "status": status}, "status")
        yield Emit(volume, reason, says, "Warning")


def claim_status(claim: Object, phase: str, volume: Object | None) -> Iterator[Action]:
    """What the claim says of its volume; its capacity is the resizer's to say once it is bound."""
    before = claim.get("status") or {}
    status: Object = {**before, "phase": phase}
    if volume is None:
        for name in ("accessModes", "capacity", "currentVolumeAttributesClassName"):
            status.pop(name, None)
    else:
        status["accessModes"] = volume["spec"]["accessModes"]
        if before.get("phase") != phase:
            smaller = annotations_of(volume).get(_BEFORE_RESIZE)
            has, gives = dig(before, "capacity", "storage"), volume["spec"]["capacity"]
            if smaller is not None:
                status["capacity"] = {**(before.get("capacity") or {}), "storage": smaller}
            elif has is None or quantity.parse(has).nanos != quantity.parse(gives["storage"]).nanos:
                status["capacity"] = gives
        if before.get("phase") == "Pending" and "volumeAttributesClassName" in volume["spec"]:
            status["currentVolumeAttributesClassName"] = volume["spec"]["volumeAttributesClassName"]
    if status != before:
        yield Update(CLAIM, {**claim, "status": status}, "status")


def _bound_claim(claim: Object, volume: Object) -> Object | None:
    annotations, name = {**annotations_of(claim)}, volume["metadata"]["name"]
    if claim["spec"].get("volumeName") != name:
        annotations.setdefault(BOUND_BY_CONTROLLER, "yes")
    elif BIND_COMPLETED in annotations:
        return None
    annotations.setdefault(BIND_COMPLETED, "yes")
    meta = {**claim["metadata"], "annotations": annotations}
    return {**claim, "metadata": meta, "spec": {**claim["spec"], "volumeName": name}}
