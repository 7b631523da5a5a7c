"""Who owns a StatefulSet's claims, so that they go or stay with it as its retention policy says.

Source: upstream `pkg/controller/statefulset/stateful_set_utils.go` (updateClaimOwnerRefForSetAndPod).
"""

from __future__ import annotations

from pylet.api.kind import Kind
from pylet.api.kinds.pod import KIND as POD
from pylet.api.kinds.statefulset import KIND as STATEFUL_SET
from pylet.api.object import Object, owners_of, uid_of
from pylet.api.podtemplate import owner_reference


def wanted_owners(claim: Object, stateful_set: Object, pod: Object, *, is_condemned: bool) -> list[Object] | None:
    """The claim's owners as they should be; None where they are, or where others' ownership is not ours to change."""
    owners = owners_of(claim)
    if is_stale(claim, stateful_set, STATEFUL_SET) or is_stale(claim, pod, POD):
        return None
    wanted = _others(claim, stateful_set, pod)
    on_delete, on_scale = _deletes(stateful_set)
    if not is_contested(claim, stateful_set, pod):
        if on_scale and is_condemned:
            wanted.append(owner_reference(pod, POD))
        elif on_delete:
            wanted.append(owner_reference(stateful_set, STATEFUL_SET))
    if [_essence(owner) for owner in wanted] == [_essence(owner) for owner in owners]:
        return None
    return wanted


def is_contested(claim: Object, stateful_set: Object, pod: Object) -> bool:
    """Whether another's controller has the claim, although the policy says that it goes with this one."""
    return any(_deletes(stateful_set)) and any(owner.get("controller") for owner in _others(claim, stateful_set, pod))


def _others(claim: Object, stateful_set: Object, pod: Object) -> list[Object]:
    parties = ((stateful_set, STATEFUL_SET), (pod, POD))
    return [owner for owner in owners_of(claim) if not any(_names(owner, obj, kind) for obj, kind in parties)]


def _deletes(stateful_set: Object) -> tuple[bool, bool]:
    """Whether claims go when the set is deleted, and when it is scaled down."""
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    return policy.get("whenDeleted") == "Delete", policy.get("whenScaled") == "Delete"


def is_stale(claim: Object, obj: Object, kind: Kind) -> bool:
    """Whether an earlier namesake of `obj` owns the claim: it is about to be collected with it."""
    return any(_names(owner, obj, kind) and owner["uid"] != uid_of(obj) for owner in owners_of(claim))


def _names(owner: Object, obj: Object, kind: Kind) -> bool:
    return (owner["apiVersion"], owner["kind"], owner["name"]) == (kind.api_version, kind.name, obj["metadata"]["name"])


def _essence(owner: Object) -> tuple[str, bool]:
    return owner["uid"], bool(owner.get("controller"))
