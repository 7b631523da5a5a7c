"""PersistentVolumeClaims. Source: core validation.go, ValidatePersistentVolumeClaim, and their strategy.go."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

from pylet.api import causes, columns, golang, names, quantity, resources
from pylet.api.errors import Cause
from pylet.api.kind import Column, Kind, Strategy
from pylet.api.object import Object, dig, is_terminating
from pylet.api.podspec import claimspec, warnings

_SNAPSHOT = ("VolumeSnapshot", "snapshot.storage.k8s.io")
_CLAIM = ("PersistentVolumeClaim", "")
CLASS_ANNOTATION = "volume.beta.kubernetes.io/storage-class"
_DEPRECATED = 'deprecated since v1.8; use "storageClassName" attribute instead'
_FIXED = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound claims"
_REQUEST = "spec.resources.requests.storage"
_RESIZES = (
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizePending",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
)


class PersistentVolumeClaimStrategy(Strategy):
    has_status = True
    new_status: ClassVar[Object] = {"phase": "Pending"}

    def prepare_create(self, obj: Object) -> None:
        super().prepare_create(obj)
        _same_sources(obj["spec"], {})

    def prepare_update(self, obj: Object, old: Object, subresource: str) -> None:
        super().prepare_update(obj, old, subresource)
        if not subresource:
            _same_sources(obj["spec"], old["spec"])

    def validate(self, obj: Object) -> Sequence[Cause]:
        return claimspec.validate(obj["spec"], "spec")

    def validate_update(self, obj: Object, old: Object, subresource: str) -> Sequence[Cause]:
        if subresource == "status":
            return _status(obj.get("status") or {})
        if obj["spec"] == old["spec"]:
            return ()
        return [*self.validate(obj), *_changes(obj, old)]

    def warnings(self, obj: Object) -> Sequence[str]:
        found: list[str] = []
        if CLASS_ANNOTATION in (obj["metadata"].get("annotations") or {}):
            found.append(f"metadata.annotations[{CLASS_ANNOTATION}]: {_DEPRECATED}")
        resources = obj["spec"].get("resources") or {}
        for name in ("requests", "limits"):
            found += warnings.fractional(resources.get(name) or {}, f"spec.resources.{name}", ("storage",))
        return found


def _same_sources(spec: Object, old: Object) -> None:
    """`dataSource` and its successor `dataSourceRef` say the same; the old field takes two kinds alone (KEP 1495)."""
    reference = spec.get("dataSourceRef")
    if reference is not None and reference.get("namespace") and "dataSourceRef" not in old:
        del spec["dataSourceRef"]  # across namespaces: behind a feature gate that is off
        reference = None
    source = spec.get("dataSource")
    if source is not None and reference is None:
        named = (source.get("kind"), source.get("apiGroup") or "")
        if named not in (_CLAIM, _SNAPSHOT) and not old.keys() & {"dataSource", "dataSourceRef"}:
            del spec["dataSource"]
        else:
            spec["dataSourceRef"] = dict(source)
    elif reference is not None and source is None and not reference.get("namespace"):
        spec["dataSource"] = dict(reference)


def _changes(obj: Object, old: Object) -> list[Cause]:
    found: list[Cause] = []
    spec, before = obj["spec"], old["spec"]
    bound = dig(obj, "status", "phase") == "Bound"
    was, now = {**before}, {**spec}
    if not before.get("volumeName"):
        _take("volumeName", spec, was)
    if "storageClassName" not in before and CLASS_ANNOTATION not in (old["metadata"].get("annotations") or {}):
        now.pop("storageClassName", None)
    if bound:
        _take("volumeAttributesClassName", before, now)
        if (requests := dig(spec, "resources", "requests")) is not None:
            fixed = {**requests}
            _take("storage", dig(before, "resources", "requests", default={}), fixed)
            now["resources"] = {**spec["resources"], "requests": fixed}
    if now != was:
        differs = golang.difference(*(golang.inside("PersistentVolumeClaimSpec", one) for one in (was, now)))
        found.append(causes.forbidden("spec", f"{_FIXED}\n{differs}"))
    size, least = _size(dig(spec, "resources", "requests")), _size(dig(before, "resources", "requests"))
    if size < least and size <= _size(dig(old, "status", "capacity")):
        found.append(causes.forbidden(_REQUEST, "field can not be less than status.capacity"))
    found += causes.immutable("volumeMode", spec.get("volumeMode"), before.get("volumeMode"))
    name, applied = spec.get("volumeAttributesClassName"), dig(old, "status", "currentVolumeAttributesClassName")
    if applied is not None and not name and name != before.get("volumeAttributesClassName"):
        to = "nil" if name is None else "empty string"
        says = f"update to {to} is forbidden when status.currentVolumeAttributesClassName is not nil"
        found.append(causes.forbidden("spec.volumeAttributesClassName", says))
    return found


def _take(name: str, source: Object, into: Object) -> None:
    """Have `into` say of that field what `source` says."""
    into.pop(name, None)
    if name in source:
        into[name] = source[name]


def _size(amounts: Object | None) -> int:
    return quantity.parse((amounts or {}).get("storage", "0")).nanos


def _status(status: Object) -> list[Cause]:
    found: list[Cause] = []
    for name, amount in (status.get("capacity") or {}).items():
        if quantity.parse(amount).nanos < 0:
            says = "must be a valid resource quantity"
            found.append(causes.invalid(f"status.capacity[{name}]", quantity.value_of(amount), says))
    where = "status.allocatedResourceStatuses"
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        found += _key(name, where)
        if state not in _RESIZES:
            found.append(causes.not_supported(where, name, sorted(_RESIZES)))
    where = "status.allocatedResources"
    for name, amount in (status.get("allocatedResources") or {}).items():
        found += _key(name, where) or resources.amount("storage", amount, f"{where}[{name}]")
    return found


def _key(name: str, field: str) -> list[Cause]:
    problems = names.qualified_name(name)
    if problems:
        return causes.each(field, name, problems)
    if resources.is_native(name) and name != "storage":
        return [causes.not_supported(field, name, ("storage",))]
    return []


def _cells(obj: Object, now: datetime) -> list[Any]:
    spec, status = obj["spec"], obj.get("status") or {}
    volume = spec.get("volumeName", "")
    annotations = obj["metadata"].get("annotations") or {}
    return [
        obj["metadata"]["name"],
        "Terminating" if is_terminating(obj) else status.get("phase", ""),
        volume,
        (status.get("capacity") or {}).get("storage", "0") if volume else "",
        claimspec.modes_cell(status.get("accessModes")) if volume else "",
        annotations.get(CLASS_ANNOTATION) or spec.get("storageClassName", ""),
        spec.get("volumeAttributesClassName", "<unset>"),
        columns.age(obj, now),
        spec.get("volumeMode", "<unset>"),
    ]


KIND = Kind(
    group="",
    version="v1",
    name="PersistentVolumeClaim",
    plural="persistentvolumeclaims",
    definition="io.k8s.api.core.v1.PersistentVolumeClaim",
    short_names=("pvc",),
    subresources=("status",),
    strategy=PersistentVolumeClaimStrategy(),
    columns=(
        columns.NAME,
        Column("Status", description="What has become of the claim."),
        Column("Volume", description="The volume that is bound to it."),
        Column("Capacity", description="How much that volume holds."),
        Column("Access Modes", description="How that volume can be mounted."),
        Column("StorageClass", description="The class the claim asks for."),
        Column("VolumeAttributesClass", description="The class of attributes the claim asks for."),
        columns.AGE,
        Column("VolumeMode", priority=1, description="Whether it holds files or is a block device."),
    ),
    cells=_cells,
)
