"""What a PersistentVolume's spec must be, as a volume of its own or within a VolumeAttachment.

Source: core validation.go, ValidatePersistentVolumeSpec.
"""

from __future__ import annotations

import posixpath

from pylet.api import causes, names, quantity
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec import claimspec, scheduling, volumes

_NOT_INLINE = "may not be specified in the context of inline volumes"
_POLICIES = ("Delete", "Recycle", "Retain")
SOURCES = (
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


def validate(spec: Object, field: str, *, inline: bool = False) -> list[Cause]:
    """`inline`: it stands for a volume of no object's own, which only a CSI driver can make one of."""
    found: list[Cause] = []
    if inline:
        found += [
            causes.forbidden(f"{field}.{name}", _NOT_INLINE) for name in ("claimRef", "capacity") if spec.get(name)
        ]
        if "csi" not in spec:
            found.append(causes.required(f"{field}.csi", "has to be specified in the context of inline volumes"))
    modes = spec.get("accessModes") or ()
    if not modes:
        found.append(causes.required(f"{field}.accessModes"))
    found += claimspec.access_modes(modes, f"{field}.accessModes")
    if not inline:
        found += _capacity(spec.get("capacity"), f"{field}.capacity")
    policy = spec.get("persistentVolumeReclaimPolicy")
    if inline and policy not in (None, "", "Retain"):
        says = "may only be Retain in the context of inline volumes"
        found.append(causes.forbidden(f"{field}.persistentVolumeReclaimPolicy", says))
    elif policy and policy not in _POLICIES:
        found.append(causes.not_supported(f"{field}.persistentVolumeReclaimPolicy", policy, _POLICIES))
    if inline and "nodeAffinity" in spec:
        found.append(causes.forbidden(f"{field}.nodeAffinity", _NOT_INLINE))
    elif "nodeAffinity" in spec:
        required, where = spec["nodeAffinity"].get("required"), f"{field}.nodeAffinity.required"
        if required is None:
            found.append(causes.required(where, "must specify required node constraints"))
        else:
            found += scheduling.validate_node_selector(required, where)
    found += _sources(spec, field)
    path = (spec.get("hostPath") or {}).get("path")
    if path and posixpath.normpath(path) == "/" and policy == "Recycle":
        says = "may not be 'recycle' for a hostPath mount of '/'"
        found.append(causes.forbidden(f"{field}.persistentVolumeReclaimPolicy", says))
    return [*found, *(_inline_class_and_mode if inline else _class_and_mode)(spec, field)]


def _inline_class_and_mode(spec: Object, field: str) -> list[Cause]:
    found = [causes.forbidden(f"{field}.storageClassName", _NOT_INLINE)] if spec.get("storageClassName") else []
    if spec.get("volumeMode", "Filesystem") != "Filesystem":
        says = "may not specify volumeMode other than Filesystem in the context of inline volumes"
        found.append(causes.forbidden(f"{field}.volumeMode", says))
    return found


def _class_and_mode(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    name = spec.get("storageClassName")
    if name:
        found += causes.each(f"{field}.storageClassName", name, names.dns_subdomain(name))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in claimspec.VOLUME_MODES:
        found.append(causes.not_supported(f"{field}.volumeMode", mode, claimspec.VOLUME_MODES))
    return [*found, *_attributes_class(spec, field)]


def _capacity(capacity: Object | None, where: str) -> list[Cause]:
    found = [] if capacity else [causes.required(where)]
    if list(capacity or ()) != ["storage"]:
        found.append(causes.not_supported(where, capacity, ("storage",)))
    for name, amount in (capacity or {}).items():
        if quantity.parse(amount).nanos < 0:
            says = "must be a valid resource quantity"
            found.append(causes.invalid(f"{where}[{name}]", quantity.value_of(amount), says))
        found += claimspec.positive(amount, f"{where}[{name}]")
    return found


def _sources(spec: Object, field: str) -> list[Cause]:
    given = [name for name in SOURCES if name in spec]
    if not given:
        return [causes.required(field, "must specify a volume type")]
    found = volumes.validate_source(given[0], spec[given[0]], field, persistent=True)
    if given[0] == "local" and not (spec.get("nodeAffinity") or {}).get("required"):
        found.append(causes.required(f"{field}.nodeAffinity", "Local volume requires node affinity"))
    for name in given[1:]:
        if name == "flexVolume":  # upstream minds its company no more than its place
            found += volumes.validate_source(name, spec[name], field, persistent=True)
        else:
            shown = "cephFS" if name == "cephfs" else name
            found.append(causes.forbidden(f"{field}.{shown}", "may not specify more than 1 volume type"))
    return found


def _attributes_class(spec: Object, field: str) -> list[Cause]:
    if "volumeAttributesClassName" not in spec:
        return []
    name, where = spec["volumeAttributesClassName"], f"{field}.volumeAttributesClassName"
    problems = names.dns_subdomain(name) if name else ()
    found = causes.each(where, name, problems) if name else [causes.required(where, "an empty string is disallowed")]
    if "csi" not in spec:
        says = "has to be specified when using volumeAttributesClassName"
        found.append(causes.required(f"{field}.csi", says))
    return found
