"""ResourceClaims: pods that are done no longer hold them, and then what was made for a pod goes.

Source: upstream `pkg/controller/resourceclaim/controller.go` (syncClaim).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.resourceclaim import KIND as CLAIM
from pylet.api.object import Key, Object, controller_of, dig, is_terminating, uid_of
from pylet.api.podtemplate import is_finished
from pylet.client.view import Entry, View
from pylet.server.reconcile.finalizers import without_finalizer
from pylet.server.reconcile.plan import NOTHING, Controller, Delete, Plan, Update, Watch, itself

_FINALIZER = "resource.kubernetes.io/delete-protection"


def plan(key: Key, view: View, now: datetime) -> Plan:
    claim = view.get(CLAIM, key)
    if claim is None:
        return NOTHING
    status = claim.get("status") or {}
    holders = status.get("reservedFor") or []
    left = [holder for holder in holders if _holds(holder, key.namespace, view)]
    is_protected = _FINALIZER in (claim["metadata"].get("finalizers") or ())
    is_allocated = status.get("allocation") is not None
    frees = is_protected and is_allocated and not left and (bool(holders) or is_terminating(claim))
    if len(left) < len(holders) or frees:
        dropped = {"reservedFor", *(("allocation",) if frees else ())}
        fresh = {name: value for name, value in status.items() if name not in dropped}
        if left:
            fresh["reservedFor"] = left
        return Plan((Update(CLAIM, {**claim, "status": fresh}, "status"),))
    if is_protected and not is_allocated and not left:
        return Plan(without_finalizer(CLAIM, claim, _FINALIZER))
    if not left and not is_terminating(claim) and _is_left_over(claim, view):
        return Plan((Delete(CLAIM, key, uid_of(claim)),))
    return NOTHING


def _holds(holder: Object, namespace: str, view: View) -> bool:
    if holder.get("apiGroup") or holder.get("resource") != "pods":
        return True  # nobody here knows what it is
    pod = view.get(POD, Key(namespace, holder["name"]))
    return pod is not None and uid_of(pod) == holder["uid"] and not is_done(pod)


def is_done(pod: Object) -> bool:
    """Whether it will never run again."""
    return is_finished(pod) or (is_terminating(pod) and not dig(pod, "spec", "nodeName"))


def _is_left_over(claim: Object, view: View) -> bool:
    """Whether its pod is done; one that is gone takes it along by the garbage collector."""
    owner = controller_of(claim)
    if owner is None or owner["kind"] != POD.name:
        return False
    pod = view.get(POD, Key(claim["metadata"]["namespace"], owner["name"]))
    return pod is not None and (uid_of(pod) != owner["uid"] or is_done(pod))


def _of_pod(entry: Entry, view: View) -> Iterable[Key]:
    if not any(name in entry.raw for name in (b'"resourceClaims"', b'"extendedResourceClaimStatus"')):
        return
    if name := dig(entry.object, "status", "extendedResourceClaimStatus", "resourceClaimName"):
        yield Key(entry.key.namespace, name)
    for wanted in entry.object["spec"].get("resourceClaims") or ():
        if name := wanted.get("resourceClaimName"):
            yield Key(entry.key.namespace, name)
    for made in dig(entry.object, "status", "resourceClaimStatuses", default=()):
        if name := made.get("resourceClaimName"):
            yield Key(entry.key.namespace, name)


CONTROLLER = Controller("resource-claim", (Watch(CLAIM, itself), Watch(POD, _of_pod)), plan)
