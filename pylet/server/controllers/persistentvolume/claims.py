"""What to do next with a claim. Pure; source: pv_controller.go, syncUnboundClaim and syncBoundClaim."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from pylet.aio.prometheus import Counter
from pylet.api.kinds.persistentvolume import KIND as VOLUME
from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.storageclass import KIND as STORAGE_CLASS
from pylet.api.object import Key, Object, annotations_of, dig, uid_of
from pylet.api.podtemplate import is_finished
from pylet.api.volumebinding import (
    BIND_COMPLETED,
    BOUND_BY_CONTROLLER,
    PROVISIONER,
    PROVISIONER_BETA,
    SELECTED_NODE,
    best_match,
    class_of,
    default_class,
    has_class,
    is_reserved_for,
    mismatch,
    waits_for_consumer,
)
from pylet.client.view import View
from pylet.server.controllers.persistentvolume.binding import bind, claim_status
from pylet.server.reconcile.plan import Action, Count, Emit, Update

CLASSES_GIVEN = Counter("retroactive_storageclass_total", "Claims that got the default class after all.")
CLASSES_REFUSED = Counter("retroactive_storageclass_errors_total", "Claims that did not take it.")


def steps(claim: Object, view: View, now: datetime) -> Iterator[Action]:
    if BIND_COMPLETED in annotations_of(claim):
        yield from _keep(claim, view, now)
    elif claim["spec"].get("volumeName"):
        yield from _take(claim, view, now)
    else:
        yield from _find(claim, view, now)


def _find(claim: Object, view: View, now: datetime) -> Iterator[Action]:
    """Any volume will do."""
    name = class_of(claim)
    storage_class = view.get(STORAGE_CLASS, Key("", name)) if name else None
    delayed = waits_for_consumer(storage_class)
    volume = best_match(claim, view.select(VOLUME), delayed=delayed)
    if volume is not None:
        yield from bind(volume, claim, now)
        return
    if not has_class(claim) and (default := default_class(view.select(STORAGE_CLASS))) is not None:
        named = {**claim, "spec": {**claim["spec"], "storageClassName": default["metadata"]["name"]}}
        yield Update(CLAIM, named, refused=lambda error: (Count(CLASSES_REFUSED),))
        yield Count(CLASSES_GIVEN)
        return
    if delayed and SELECTED_NODE not in annotations_of(claim):
        yield _waiting(claim, view)
    elif name:
        yield from _provision(claim, name, storage_class)
        return
    else:
        says = "no persistent volumes available for this claim and no storage class is set"
        yield Emit(claim, "FailedBinding", says)
    yield from claim_status(claim, "Pending", None)


def _waiting(claim: Object, view: View) -> Emit:
    pods = [
        pod["metadata"]["name"]
        for pod in view.with_field(POD, "spec.nodeName", "")
        if pod["metadata"]["namespace"] == claim["metadata"]["namespace"]
        and not is_finished(pod)
        and any(
            dig(volume, "persistentVolumeClaim", "claimName") == claim["metadata"]["name"]
            for volume in pod["spec"].get("volumes") or ()
        )
    ]
    if not pods:
        says = "waiting for first consumer to be created before binding"
        return Emit(claim, "WaitForFirstConsumer", says)
    word = "pods" if len(pods) > 1 else "pod"
    return Emit(claim, "WaitForPodScheduled", f"waiting for {word} {','.join(sorted(pods))} to be scheduled")


def _provision(claim: Object, name: str, storage_class: Object | None) -> Iterator[Action]:
    """Ask the class's provisioner for a volume; it finds the claim by the annotation."""
    if storage_class is None:
        yield Emit(claim, "ProvisioningFailed", f'storageclass.storage.k8s.io "{name}" not found', "Warning")
        return
    provisioner = storage_class["provisioner"]
    if provisioner.startswith("kubernetes.io/"):
        says = f"no volume plugin matched name: {provisioner}"
        yield Emit(claim, "ProvisioningFailed", says, "Warning")
        return
    annotations = annotations_of(claim)
    asked = {PROVISIONER: provisioner, PROVISIONER_BETA: provisioner}
    if not asked.items() <= annotations.items():
        yield Update(CLAIM, {**claim, "metadata": {**claim["metadata"], "annotations": {**annotations, **asked}}})
        return
    says = (
        f"Waiting for a volume to be created either by the external provisioner '{provisioner}' "
        "or manually by the system administrator. If volume creation is delayed, please verify that "
        "the provisioner is running and correctly registered."
    )
    yield Emit(claim, "ExternalProvisioning", says)


def _take(claim: Object, view: View, now: datetime) -> Iterator[Action]:
    """Exactly that volume."""
    name = claim["spec"]["volumeName"]
    volume = view.get(VOLUME, Key("", name))
    if volume is None:
        yield from claim_status(claim, "Pending", None)
    elif volume["spec"].get("claimRef") is None:
        why = mismatch(volume, claim)
        if why is None:
            yield from bind(volume, claim, now)
        else:
            yield Emit(claim, "VolumeMismatch", f'Cannot bind to requested volume "{name}": {why}', "Warning")
            yield from claim_status(claim, "Pending", None)
    elif is_reserved_for(volume, claim):
        yield from bind(volume, claim, now)
    else:
        yield Emit(claim, "FailedBinding", f'volume "{name}" already bound to a different claim.', "Warning")
        if BOUND_BY_CONTROLLER not in annotations_of(claim):
            yield from claim_status(claim, "Pending", None)


def _keep(claim: Object, view: View, now: datetime) -> Iterator[Action]:
    """A bound claim stays bound, or is lost for ever."""
    name = claim["spec"].get("volumeName")
    if not name:
        says = "Bound claim has lost reference to PersistentVolume. Data on the volume is lost!"
        yield from _lost(claim, "ClaimLost", says)
        return
    volume = view.get(VOLUME, Key("", name))
    if volume is None:
        says = "Bound claim has lost its PersistentVolume. Data on the volume is lost!"
        yield from _lost(claim, "ClaimLost", says)
        return
    reference = volume["spec"].get("claimRef")
    if reference is None or reference.get("uid") == uid_of(claim):
        yield from bind(volume, claim, now)
    else:
        says = "Two claims are bound to the same volume, this one is bound incorrectly"
        yield from _lost(claim, "ClaimMisbound", says)


def _lost(claim: Object, reason: str, says: str) -> Iterator[Action]:
    if dig(claim, "status", "phase") != "Lost":
        yield from claim_status(claim, "Lost", None)
        yield Emit(claim, reason, says, "Warning")
