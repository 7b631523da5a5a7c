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
    parties = ((stateful_set, STATEFUL_SET), (pod, POD))
    owners = owners_of(claim)
    if any(is_stale(claim, obj, kind) for obj, kind in parties):
        return None
    others = [owner for owner in owners if not any(_names(owner, obj, kind) for obj, kind in parties)]
    policy = stateful_set["spec"].get("persistentVolumeClaimRetentionPolicy") or {}
    on_delete, on_scale = policy.get("whenDeleted") == "Delete", policy.get("whenScaled") == "Delete"
    wanted = list(others)
    if not ((on_delete or on_scale) and any(owner.get("controller") for owner in others)):
        if on_scale and is_condemned:
            wanted.append(owner_reference(pod, POD))
        elif on_delete:
            wanted.append(owner_reference(stateful_set, STATEFUL_SET))
    if [_essence(owner) for owner in wanted] == [_essence(owner) for owner in owners]:
        return None
    return wanted


def is_stale(claim: Object, obj: Object, kind: Kind) -> bool:
    """Whether an earlier namesake of `obj` owns the claim: it is about to be collected with it."""
    return any(_names(owner, obj, kind) and owner["uid"] != uid_of(obj) for owner in owners_of(claim))


def _names(owner: Object, obj: Object, kind: Kind) -> bool:
    return (owner["apiVersion"], owner["kind"], owner["name"]) == (kind.api_version, kind.name, obj["metadata"]["name"])


def _essence(owner: Object) -> tuple[str, bool]:
    return owner["uid"], bool(owner.get("controller"))
