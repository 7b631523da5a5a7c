"""PersistentVolumes. Source: core validation.go, ValidatePersistentVolume; registry/core/persistentvolume."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, golang
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.kinds.persistentvolumeclaim import CLASS_ANNOTATION
from pylet.api.object import Object, annotations_of, dig, is_terminating
from pylet.api.podspec import claimspec, volumespec
from pylet.api.podspec import warnings as odd

_MOUNT_OPTIONS = "volume.beta.kubernetes.io/mount-options"
_MOUNTED = frozenset(
    [
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "gcePersistentDisk",
        "glusterfs",
        "iscsi",
        "nfs",
        "photonPersistentDisk",
        "quobyte",
        "rbd",
        "vsphereVolume",
    ]
)
_OLD_ANNOTATIONS = {
    CLASS_ANNOTATION: 'deprecated since v1.8; use "storageClassName" attribute instead',
    _MOUNT_OPTIONS: 'deprecated since v1.31; use "mountOptions" attribute instead',
}
_OLD_SOURCES = {
    "cephfs": "deprecated in v1.28, non-functional in v1.31+",
    "photonPersistentDisk": "deprecated in v1.11, non-functional in v1.16+",
    "scaleIO": "deprecated in v1.16, non-functional in v1.22+",
    "storageOS": "deprecated in v1.22, non-functional in v1.25+",
    "glusterfs": "deprecated in v1.25, non-functional in v1.26+",
    "rbd": "deprecated in v1.28, non-functional in v1.31+",
}
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."


class PersistentVolumeStrategy(Strategy):
    has_status = True
    new_status: ClassVar[Object] = {"phase": "Pending"}

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        if created := obj["metadata"].get("creationTimestamp"):
            obj["status"]["lastPhaseTransitionTime"] = created

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        status, before = obj.get("status") or {}, old.get("status") or {}
        since = before.get("lastPhaseTransitionTime")
        if subresource == "status" and since and status.get("phase") == before.get("phase"):
            status.setdefault("lastPhaseTransitionTime", since)

    def validate(self, obj: Object) -> Sequence[Cause]:
        return [*volumespec.validate(obj["spec"], "spec"), *_mount_options(obj)]

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        spec, before = obj["spec"], old["spec"]
        if subresource == "status" or spec == before:
            return ()
        found = list(self.validate(obj))
        source, was = _source(spec), _source(before)
        if "csi" in was and "controllerExpandSecretRef" not in was["csi"]:
            source = {name: _without(each, "controllerExpandSecretRef") for name, each in source.items()}
        if source != was:
            differs = golang.difference(*(golang.inside("PersistentVolumeSource", one) for one in (was, source)))
            says = f"spec.persistentvolumesource is immutable after creation\n{differs}"
            found.append(causes.forbidden("spec.persistentvolumesource", says))
        found += causes.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
        if "nodeAffinity" in before:
            found += causes.immutable("nodeAffinity", spec.get("nodeAffinity"), before["nodeAffinity"])
        if "volumeAttributesClassName" in before and "volumeAttributesClassName" not in spec:
            says = "update from non-nil value to nil is forbidden"
            found.append(causes.forbidden("spec.volumeAttributesClassName", says))
        return found

    def warnings(self, obj: Object) -> Sequence[str]:
        given, spec = annotations_of(obj), obj["spec"]
        found = [f"metadata.annotations[{name}]: {says}" for name, says in _OLD_ANNOTATIONS.items() if name in given]
        if spec.get("persistentVolumeReclaimPolicy") == "Recycle":
            found.append(f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}")
        for position, term in enumerate(dig(spec, "nodeAffinity", "required", "nodeSelectorTerms", default=()) or ()):
            found += odd.node_term(term, f"spec.nodeAffinity.required.nodeSelectorTerms[{position}]")
        sources = {name.lower() for name in spec}  # upstream spells storageOS so
        return [*found, *(f"spec.{name}: {says}" for name, says in _OLD_SOURCES.items() if name.lower() in sources)]


def _mount_options(obj: Object) -> list[Cause]:
    """Source: pkg/volume/validation, checkMountOption."""
    if _MOUNT_OPTIONS not in annotations_of(obj) or not _MOUNTED.isdisjoint(obj["spec"]):
        return []
    says = "may not specify mount options for this volume type"
    return [causes.forbidden(f"metadata.annotations.{_MOUNT_OPTIONS}", says)]


def _source(spec: Object) -> Object:
    return {name: spec[name] for name in volumespec.SOURCES if name in spec}


def _without(holder: Object, name: str) -> Object:
    return {field: value for field, value in holder.items() if field != name}


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    claim = spec.get("claimRef")
    annotations = obj["metadata"].get("annotations") or {}
    return [
        obj["metadata"]["name"],
        (spec.get("capacity") or {}).get("storage", "0"),
        claimspec.modes_cell(spec.get("accessModes")),
        spec.get("persistentVolumeReclaimPolicy", ""),
        "Terminating" if is_terminating(obj) else status.get("phase", ""),
        f"{claim.get('namespace', '')}/{claim.get('name', '')}" if claim is not None else "",
        annotations.get(CLASS_ANNOTATION) or spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", "<unset>"),
        status.get("reason", ""),
        columns.age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


KIND = Kind(
    group="",
    version="v1",
    name="PersistentVolume",
    plural="persistentvolumes",
    definition="io.k8s.api.core.v1.PersistentVolume",
    namespaced=False,
    short_names=("pv",),
    subresources=("status",),
    strategy=PersistentVolumeStrategy(),
    columns=(
        columns.NAME,
        Column("Capacity", description="How much the volume holds."),
        Column("Access Modes", description="How it can be mounted."),
        Column("Reclaim Policy", description="What becomes of it when its claim is deleted."),
        Column("Status", description="What has become of the volume."),
        Column("Claim", description="The claim it is bound to."),
        Column("StorageClass", description="Its class."),
        Column("VolumeAttributesClass", description="The class of its attributes."),
        Column("Reason", description="Why it is in this state."),
        columns.AGE,
        Column("VolumeMode", priority=1, description="Whether it holds files or is a block device."),
    ),
    cells=_cells,
)
