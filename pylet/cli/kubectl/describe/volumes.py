"""The volumes of a pod in its description: of each its type and what that type is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pylet.api.kinds.persistentvolumeclaim import CLASS_ANNOTATION
from pylet.api.object import Object, annotations_of, dig
from pylet.api.podspec.claimspec import ACCESS_MODES
from pylet.cli.kubectl.describe.page import Page

_TYPES: Mapping[str, str] = {
    "hostPath": "HostPath (bare host directory volume)",
    "emptyDir": "EmptyDir (a temporary directory that shares a pod's lifetime)",
    "secret": "Secret (a volume populated by a Secret)",
    "configMap": "ConfigMap (a volume populated by a ConfigMap)",
    "projected": "Projected (a volume that contains injected data from multiple sources)",
    "downwardAPI": "DownwardAPI (a volume populated by information about the pod)",
    "persistentVolumeClaim": "PersistentVolumeClaim (a reference to a PersistentVolumeClaim in the same namespace)",
    "nfs": "NFS (an NFS mount that lasts the lifetime of a pod)",
    "csi": "CSI (a Container Storage Interface (CSI) volume source)",
    "image": "Image (a container image or OCI artifact)",
    "ephemeral": "EphemeralVolume (an inline specification for a volume that gets created and deleted with the pod)",
}


def access_modes(modes: Sequence[str]) -> str:
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in modes)


def class_of(obj: Object) -> str:
    """The storage class of a volume or claim."""
    name: str = annotations_of(obj).get(CLASS_ANNOTATION) or obj["spec"].get("storageClassName") or ""
    return name


def write_source(page: Page, spec: Object) -> None:
    """Where a PersistentVolume is."""
    kind = next((kind for kind in ("local", "csi", "nfs", "hostPath") if kind in spec), None)
    if kind is None:
        page.write("<unknown>", 1)
        return
    source = spec[kind]
    fields = _fields(kind, source)
    if kind == "csi":
        fields.insert(2, ("VolumeHandle", source["volumeHandle"]))
    type_ = "LocalVolume (a persistent volume backed by local storage on a node)" if kind == "local" else _TYPES[kind]
    for name, value in [("Type", type_), *fields]:
        page.write(f"{name}:\t{value}", 2)


def write(page: Page, found: Sequence[Object], space: str = "") -> None:
    page.write(f"{space}Volumes:" if found else f"{space}Volumes:\t<none>")
    for volume in found:
        page.write(f"{' ' if space else ''}{volume['name']}:", 1)
        kind = next((kind for kind in _TYPES if kind in volume), None)
        if kind is None:
            page.write("<unknown>", 1)
            continue
        source = volume[kind] or {}
        for name, value in [("Type", _TYPES[kind]), *_fields(kind, source)]:
            page.write(f"{name}:\t{value}", 2)
        if kind == "downwardAPI":
            _items(page, source.get("items") or ())


def _items(page: Page, items: Sequence[Object]) -> None:
    page.write("Items:", 2)
    for item in items:
        field = dig(item, "fieldRef", "fieldPath") or dig(item, "resourceFieldRef", "resource")
        page.write(f"{field} -> {item['path']}", 3)


def _fields(kind: str, source: Object) -> list[tuple[str, Any]]:
    match kind:
        case "hostPath":
            return [("Path", source["path"]), ("HostPathType", source.get("type", "<none>"))]
        case "emptyDir":
            return [("Medium", source.get("medium", "")), ("SizeLimit", source.get("sizeLimit", "<unset>"))]
        case "secret":
            return [("SecretName", source.get("secretName", "")), ("Optional", _flag(source, "optional"))]
        case "configMap":
            return [("Name", source.get("name", "")), ("Optional", _flag(source, "optional"))]
        case "persistentVolumeClaim":
            return [("ClaimName", source["claimName"]), ("ReadOnly", _flag(source, "readOnly"))]
        case "local":
            return [("Path", source["path"])]
        case "nfs":
            return [("Server", source["server"]), ("Path", source["path"]), ("ReadOnly", _flag(source, "readOnly"))]
        case "csi":
            return _csi(source)
        case "image":
            return [("Reference", source.get("reference", "")), ("PullPolicy", source.get("pullPolicy", ""))]
        case "projected":
            return [line for part in source.get("sources") or () for line in _projection(part)]
    return []


def _csi(source: Object) -> list[tuple[str, Any]]:
    attributes = [f"    {key}={value}" for key, value in sorted((source.get("volumeAttributes") or {}).items())]
    return [
        ("Driver", source["driver"]),
        ("FSType", source.get("fsType", "")),
        ("ReadOnly", _flag(source, "readOnly")),
        ("VolumeAttributes", "\n        \t".join(attributes) or "<none>"),
    ]


def _projection(part: Object) -> list[tuple[str, Any]]:
    if "downwardAPI" in part:
        return [("DownwardAPI", "true")]
    if "serviceAccountToken" in part:
        return [("TokenExpirationSeconds", part["serviceAccountToken"].get("expirationSeconds", 3600))]
    for kind, title in (("secret", "SecretName"), ("configMap", "ConfigMapName")):
        if kind in part:
            return [(title, part[kind].get("name", "")), ("Optional", _flag(part[kind], "optional"))]
    return []


def _flag(source: Object, name: str) -> str:
    return "true" if source.get(name) else "false"
