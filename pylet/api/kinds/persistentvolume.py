"""PersistentVolumes. Source: core validation.go, ValidatePersistentVolume; registry/core/persistentvolume."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, names, quantity
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.kinds.persistentvolumeclaim import CLASS_ANNOTATION
from pylet.api.object import Object, is_terminating
from pylet.api.podspec import claimspec, scheduling, volumes

_POLICIES = ("Delete", "Recycle", "Retain")
_RECYCLE = "The Recycle reclaim policy is deprecated. Instead, the recommended approach is to use dynamic provisioning."
_SOURCES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    "flexVolume",
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
)


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
        return _spec(obj["spec"])

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        spec, before = obj["spec"], old["spec"]
        if subresource == "status" or spec == before:
            return ()
        found = _spec(spec)
        source, was = _source(spec), _source(before)
        if "csi" in was and "controllerExpandSecretRef" not in was["csi"]:
            source = {name: _without(each, "controllerExpandSecretRef") for name, each in source.items()}
        if source != was:
            says = "spec.persistentvolumesource is immutable after creation"
            found.append(causes.forbidden("spec.persistentvolumesource", says))
        found += causes.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
        if "nodeAffinity" in before:
            found += causes.immutable("nodeAffinity", spec.get("nodeAffinity"), before["nodeAffinity"])
        if "volumeAttributesClassName" in before and "volumeAttributesClassName" not in spec:
            says = "update from non-nil value to nil is forbidden"
            found.append(causes.forbidden("spec.volumeAttributesClassName", says))
        return found

    def warnings(self, obj: Object) -> Sequence[str]:
        annotations = obj["metadata"].get("annotations") or {}
        found: list[str] = []
        if CLASS_ANNOTATION in annotations:
            says = 'deprecated since v1.8; use "storageClassName" attribute instead'
            found.append(f"metadata.annotations[{CLASS_ANNOTATION}]: {says}")
        if obj["spec"].get("persistentVolumeReclaimPolicy") == "Recycle":
            found.append(f"spec.persistentVolumeReclaimPolicy: {_RECYCLE}")
        return found


def _source(spec: Object) -> Object:
    return {name: spec[name] for name in _SOURCES if name in spec}


def _without(holder: Object, name: str) -> Object:
    return {field: value for field, value in holder.items() if field != name}


def _spec(spec: Object) -> list[Cause]:
    found: list[Cause] = []
    modes = spec.get("accessModes") or ()
    if not modes:
        found.append(causes.required("spec.accessModes"))
    found += claimspec.access_modes(modes, "spec.accessModes")
    found += _capacity(spec.get("capacity"))
    policy = spec.get("persistentVolumeReclaimPolicy")
    if policy and policy not in _POLICIES:
        found.append(causes.not_supported("spec.persistentVolumeReclaimPolicy", policy, _POLICIES))
    if "nodeAffinity" in spec:
        required = spec["nodeAffinity"].get("required")
        where = "spec.nodeAffinity.required"
        if required is None:
            found.append(causes.required(where, "must specify required node constraints"))
        else:
            found += scheduling.validate_node_selector(required, where)
    found += _sources(spec)
    path = (spec.get("hostPath") or {}).get("path")
    if path and posixpath.normpath(path) == "/" and policy == "Recycle":
        says = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(causes.forbidden("spec.persistentVolumeReclaimPolicy", says))
    name = spec.get("storageClassName")
    if name:
        found += causes.each("spec.storageClassName", name, names.dns_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in claimspec.VOLUME_MODES:
        found.append(causes.not_supported("spec.volumeMode", mode, claimspec.VOLUME_MODES))
    return [*found, *_attributes_class(spec)]


def _capacity(capacity: Object | None) -> list[Cause]:
    where = "spec.capacity"
    found = [] if capacity else [causes.required(where)]
    if list(capacity or ()) != ["storage"]:
        found.append(causes.not_supported(where, capacity, ("storage",)))
    for name, amount in (capacity or {}).items():
        if quantity.parse(amount).nanos < 0:
            says = "must be a valid resource quantity"
            found.append(causes.invalid(f"{where}[{name}]", quantity.value_of(amount), says))
        found += claimspec.positive(amount, f"{where}[{name}]")
    return found


def _sources(spec: Object) -> list[Cause]:
    given = [name for name in _SOURCES if name in spec]
    if not given:
        return [causes.required("spec", "must specify a volume type")]
    found = volumes.validate_source(given[0], spec[given[0]], "spec", persistent=True)
    if "local" in spec and not (spec.get("nodeAffinity") or {}).get("required"):
        found.append(causes.required("spec.nodeAffinity", "Local volume requires node affinity"))
    says = "may not specify more than 1 volume type"
    return [*found, *(causes.forbidden(f"spec.{name}", says) for name in given[1:])]


def _attributes_class(spec: Object) -> list[Cause]:
    if "volumeAttributesClassName" not in spec:
        return []
    name, where = spec["volumeAttributesClassName"], "spec.volumeAttributesClassName"
    problems = names.dns_subdomain(name) if name else ()
    found = causes.each(where, name, problems) if name else [causes.required(where, "an empty string is disallowed")]
    if "csi" not in spec:
        says = "has to be specified when using volumeAttributesClassName"
        found.append(causes.required("spec.csi", says))
    return found


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
    fields={"name": lambda obj: obj["metadata"].get("name", "")},
)
