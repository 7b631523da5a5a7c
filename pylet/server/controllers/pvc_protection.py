"""A claim that pods on nodes use stays until they are gone, by a finalizer.

A pod without a node doesn't count: no kubelet will start it on a claim that is being deleted. Nor does one whose
kubelet is done with it keep the claims made for it: its finalizers (`foregroundDeletion`) may wait for just these.
Source: upstream `pkg/controller/volume/pvcprotection/pvc_protection_controller.go`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime

from pylet.api.kinds.persistentvolumeclaim import KIND as CLAIM
from pylet.api.kinds.pod import KIND as POD
from pylet.api.object import Key, Object, is_terminating, owners_of, uid_of
from pylet.client.view import Entry, View
from pylet.server.reconcile.finalizers import with_finalizer, without_finalizer
from pylet.server.reconcile.plan import NOTHING, Controller, Plan, Watch

FINALIZER = "kubernetes.io/pvc-protection"
_TERMINATING = b'"deletionTimestamp"'


def plan(key: Key, view: View, now: datetime) -> Plan:
    claim = view.get(CLAIM, key)
    if claim is None:
        return NOTHING
    if not is_terminating(claim):
        return Plan(with_finalizer(CLAIM, claim, FINALIZER))
    return NOTHING if _is_used(claim, view) else Plan(without_finalizer(CLAIM, claim, FINALIZER))


def _is_used(claim: Object, view: View) -> bool:
    name = claim["metadata"]["name"]
    return any(
        entry.object["spec"].get("nodeName") and name in _claims_of(entry.object, claim)
        for entry in view.table(POD).in_namespace(claim["metadata"]["namespace"]).values()
        if b'"persistentVolumeClaim"' in entry.raw or b'"ephemeral"' in entry.raw
    )


def _claims_of(pod: Object, claim: Object | None = None) -> Iterator[str]:
    """The claims a pod names, and those made for it: of these `claim` only if it still uses it as its own."""
    for volume in pod["spec"].get("volumes") or ():
        if "persistentVolumeClaim" in volume:
            yield volume["persistentVolumeClaim"]["claimName"]
        elif "ephemeral" in volume and (claim is None or _keeps_its_own(pod, claim)):
            yield f"{pod['metadata']['name']}-{volume['name']}"


def _keeps_its_own(pod: Object, claim: Object) -> bool:
    return not _is_shut_down(pod) and uid_of(pod) in (owner["uid"] for owner in owners_of(claim))


def _is_shut_down(pod: Object) -> bool:
    """Its kubelet has unmounted everything, or it was deleted by force."""
    return is_terminating(pod) and pod["metadata"].get("deletionGracePeriodSeconds") == 0


def _of_claim(entry: Entry, view: View) -> Iterable[Key]:
    if _TERMINATING in entry.raw or FINALIZER.encode() not in entry.raw:
        yield entry.key


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    """A pod that goes may let a claim go, as may one that is shut down."""
    if entry.key in view.table(POD).entries and not (_TERMINATING in entry.raw and _is_shut_down(entry.object)):
        return
    for name in _claims_of(entry.object):
        found = view.table(CLAIM).entries.get(Key(entry.key.namespace, name))
        if found is not None and _TERMINATING in found.raw:
            yield found.key


CONTROLLER = Controller("persistentvolumeclaim-protection", (Watch(CLAIM, _of_claim), Watch(POD, _of_pod)), plan)
