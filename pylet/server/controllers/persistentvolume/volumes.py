"""What to do next with a volume. Pure; source: pv_controller.go, syncVolume and reclaimVolume."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.object import Key, Object, annotations_of, dig, uid_of
from pylet.api.volumebinding import MIGRATED_TO, PROVISIONED_BY, modes_differ
from pylet.client.view import View
from pylet.server.controllers.persistentvolume import recycling
from pylet.server.controllers.persistentvolume.binding import failed, unbind, volume_phase
from pylet.server.reconcile.plan import Action, Emit


def steps(volume: Object, view: View, now: datetime) -> Iterator[Action]:
    reference = volume["spec"].get("claimRef")
    if reference is None or not reference.get("uid"):
        yield from volume_phase(volume, "Available", now)
        return
    name = volume["metadata"]["name"]
    claim = view.get(CLAIM, Key(reference.get("namespace", ""), reference.get("name", "")))
    if claim is None or uid_of(claim) != reference["uid"]:
        yield from _release(volume, view, now)
        return
    match claim["spec"].get("volumeName"):
        case None | "":
            if modes_differ(volume, claim):
                yield from _modes_differ(volume, claim)  # else the claim binds itself
        case bound if bound == name:
            yield from volume_phase(volume, "Bound", now)
        case _ if PROVISIONED_BY in annotations_of(volume) and _policy(volume) == "Delete":
            yield from _release(volume, view, now)
        case _:
            yield from unbind(volume, now)


def _modes_differ(volume: Object, claim: Object) -> Iterator[Action]:
    name, asked = volume["metadata"]["name"], claim["metadata"]["name"]
    why = "due to incompatible volumeMode."
    says = f'Cannot bind PersistentVolume to requested PersistentVolumeClaim "{asked}" {why}'
    yield Emit(volume, "VolumeMismatch", says, "Warning")
    says = f'Cannot bind PersistentVolume "{name}" to requested PersistentVolumeClaim {why}'
    yield Emit(claim, "VolumeMismatch", says, "Warning")


def _release(volume: Object, view: View, now: datetime) -> Iterator[Action]:
    """Its claim is gone: what follows is the policy's word, and mostly its provisioner's work."""
    if dig(volume, "status", "phase") not in ("Released", "Failed"):
        yield from volume_phase(volume, "Released", now)
        return
    if annotations_of(volume).get(MIGRATED_TO):
        return
    match _policy(volume):
        case "Retain":
            return
        case "Recycle":
            yield from recycling.steps(volume, view, now)
        case "Delete":
            why = _no_deleter(volume)
            if why is not None:
                yield from failed(volume, "VolumeFailedDelete", why, now)
        case _:
            says = "Volume has unrecognized PersistentVolumeReclaimPolicy"
            yield from failed(volume, "VolumeUnknownReclaimPolicy", says, now)


def _no_deleter(volume: Object) -> str | None:
    """Why nobody will delete the volume; None when its provisioner will."""
    by, name = annotations_of(volume).get(PROVISIONED_BY, ""), volume["metadata"]["name"]
    if by:
        return f"no deletable volume plugin matched name: {by}" if by.startswith("kubernetes.io/") else None
    if "csi" in volume["spec"]:
        return None
    if path := dig(volume, "spec", "hostPath", "path"):
        if "/tmp/" in path:
            return f"{path} is a directory of nodes, and the server deletes none"  # upstream does where it runs itself
        return f"host_path deleter only supports /tmp/.+ but received provided {path}"
    return f'error getting deleter volume plugin for volume "{name}": no deletable volume plugin matched'


def _policy(volume: Object) -> str:
    return str(volume["spec"].get("persistentVolumeReclaimPolicy", ""))
