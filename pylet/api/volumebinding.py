"""Which persistent volume suits a claim, and how the two name each other. Pure; binder and scheduler ask the same.

Source: upstream `component-helpers/storage/volume/pv_helpers.go` (FindMatchingVolume and its neighbours).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pylet.api import defaultclass, quantity, selector
from pylet.api.kinds import storageclass
from pylet.api.kinds.persistentvolumeclaim import CLASS_ANNOTATION
from pylet.api.nodeaffinity import matches_any
from pylet.api.object import Object, annotations_of, dig, is_terminating, labels_of

BIND_COMPLETED = "pv.kubernetes.io/bind-completed"
BOUND_BY_CONTROLLER = "pv.kubernetes.io/bound-by-controller"
PROVISIONED_BY = "pv.kubernetes.io/provisioned-by"
MIGRATED_TO = "pv.kubernetes.io/migrated-to"
SELECTED_NODE = "volume.kubernetes.io/selected-node"
PROVISIONER = "volume.kubernetes.io/storage-provisioner"
PROVISIONER_BETA = "volume.beta.kubernetes.io/storage-provisioner"


def class_of(bound: Object) -> str:
    """The storage class of a volume or a claim; "" for none. A claim without one may yet get the default class."""
    return annotations_of(bound).get(CLASS_ANNOTATION) or bound["spec"].get("storageClassName") or ""


def has_class(claim: Object) -> bool:
    """Whether a claim says which class it wants, be it none ("")."""
    return CLASS_ANNOTATION in annotations_of(claim) or "storageClassName" in claim["spec"]


def default_class(classes: Iterable[Object]) -> Object | None:
    """The class that claims get which name none; None where there is no such class."""
    return defaultclass.newest(classes, storageclass.is_default)


def waits_for_consumer(storage_class: Object | None) -> bool:
    """Whether claims of the class wait until a pod that uses them has a node."""
    return storage_class is not None and storage_class.get("volumeBindingMode") == "WaitForFirstConsumer"


def is_reserved_for(volume: Object, claim: Object) -> bool:
    """Whether a volume's claimRef names the claim: bound to it, or meant for it before it was made."""
    reference, meta = volume["spec"].get("claimRef"), claim["metadata"]
    if reference is None or (reference.get("namespace"), reference.get("name")) != (meta["namespace"], meta["name"]):
        return False
    return reference.get("uid") in (None, "", meta["uid"])


def best_match(
    claim: Object,
    volumes: Iterable[Object],
    *,
    delayed: bool = False,
    reaches: Callable[[Object], bool] | None = None,
) -> Object | None:
    """The volume reserved for the claim, else the smallest of those with the fewest access modes that suits it.

    `delayed`: only one that is reserved. The scheduler says by `reaches` whether its node reaches a volume; a reserved
    one out of reach leaves no match.
    """
    chosen = dig(claim, "spec", "selector")
    selects = selector.from_object(chosen) if chosen is not None else None
    wanted_class = class_of(claim)
    found: Object | None = None
    least: tuple[int, int] | None = None
    for volume in volumes:
        if mismatch(volume, claim) is not None and not _may_be_reserved(volume, claim):
            continue
        if is_reserved_for(volume, claim):
            return volume if reaches is None or reaches(volume) else None
        if delayed or volume["spec"].get("claimRef") is not None or dig(volume, "status", "phase") != "Available":
            continue
        if class_of(volume) != wanted_class or (selects is not None and not selects(labels_of(volume))):
            continue
        rank = (len(volume["spec"].get("accessModes") or ()), size_of(volume))
        if (least is None or rank < least) and (reaches is None or reaches(volume)):
            found, least = volume, rank
    return found


def _may_be_reserved(volume: Object, claim: Object) -> bool:
    """A reservation needs no class; everything else must suit."""
    return is_reserved_for(volume, claim) and mismatch(volume, claim, any_class=True) is None


def mismatch(volume: Object, claim: Object, *, any_class: bool = False) -> str | None:
    """Why the volume cannot serve the claim. Source: pv_controller.go, checkVolumeSatisfyClaim."""
    spec, wanted = volume["spec"], claim["spec"]
    if is_terminating(volume):
        return f'the volume is marked for deletion "{volume["metadata"]["name"]}"'
    if size_of(volume) < requested(claim):
        return "requested PV is too small"
    if not any_class and class_of(volume) != class_of(claim):
        return "storageClassName does not match"
    if (spec.get("volumeAttributesClassName") or "") != (wanted.get("volumeAttributesClassName") or ""):
        return "volumeAttributesClassName does not match"
    if modes_differ(volume, claim):
        return "incompatible volumeMode"
    if not set(wanted.get("accessModes") or ()) <= set(spec.get("accessModes") or ()):
        return "incompatible accessMode"
    return None


def modes_differ(volume: Object, claim: Object) -> bool:
    return bool(volume["spec"].get("volumeMode", "Filesystem") != claim["spec"].get("volumeMode", "Filesystem"))


def reaches(volume: Object, node_name: str, node_labels: Mapping[str, str]) -> bool:
    """Whether the volume's node affinity allows the node."""
    required = dig(volume, "spec", "nodeAffinity", "required")
    return required is None or matches_any(required.get("nodeSelectorTerms") or (), node_name, node_labels)


def size_of(volume: Object) -> int:
    """Its capacity in 10⁻⁹ bytes."""
    return quantity.parse(dig(volume, "spec", "capacity", "storage", default="0")).nanos


def requested(claim: Object) -> int:
    """What the claim asks for, in 10⁻⁹ bytes."""
    return quantity.parse(dig(claim, "spec", "resources", "requests", "storage", default="0")).nanos


def claim_reference(claim: Object) -> Object:
    meta = claim["metadata"]
    return {
        "kind": "PersistentVolumeClaim",
        "namespace": meta["namespace"],
        "name": meta["name"],
        "uid": meta["uid"],
        "apiVersion": "v1",
        "resourceVersion": meta.get("resourceVersion", ""),
    }


def bound_volume(volume: Object, claim: Object) -> Object | None:
    """`volume` (a new object) bound to the claim; None when it is already. Source: GetBindVolumeToClaim."""
    reference, meta = volume["spec"].get("claimRef") or {}, claim["metadata"]
    named = (reference.get("namespace"), reference.get("name"), reference.get("uid"))
    if named == (meta["namespace"], meta["name"], meta["uid"]):
        return None
    bound: Object = {**volume, "spec": {**volume["spec"], "claimRef": claim_reference(claim)}}
    if not is_reserved_for(volume, claim):
        annotations = {**annotations_of(volume), BOUND_BY_CONTROLLER: "yes"}
        bound["metadata"] = {**volume["metadata"], "annotations": annotations}
    return bound
