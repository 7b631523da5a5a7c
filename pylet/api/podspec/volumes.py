"""What volumes must look like; the sources pylet mounts in depth, others by their number alone."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec import claimspec, sources, templatemeta
from pylet.api.podspec.env import validate_field_ref, validate_resource_ref
from pylet.api.podspec.paths import no_backsteps, validate_descending

_ORDER = (
    *("emptyDir", "hostPath", "gitRepo", "gcePersistentDisk", "awsElasticBlockStore", "secret", "nfs", "iscsi"),
    *("glusterfs", "flocker", "persistentVolumeClaim", "rbd", "cinder", "cephfs", "quobyte", "downwardAPI", "fc"),
    *("flexVolume", "configMap", "azureFile", "vsphereVolume", "photonPersistentDisk", "portworxVolume", "azureDisk"),
    *("storageos", "projected", "scaleIO", "csi", "ephemeral", "image"),
)
"""As upstream looks for them: the first one counts."""
_CALLED = {"cephfs": "cephFS", "downwardAPI": "downwarAPI"}
_HOST_PATH_TYPES = ("", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket")
_FILE_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")
_PULL_POLICIES = ("Always", "IfNotPresent", "Never")
_MODE_SAYS = "must be a number between 0 and 0777 (octal), both inclusive"
_LEAST_TOKEN_SECONDS = 600


def validate(volumes: Iterable[Object], field: str) -> tuple[list[Cause], dict[str, str]]:
    """What is wrong, and of the volumes with which nothing is, the names and what they are."""
    found: list[Cause] = []
    valid: dict[str, str] = {}
    for position, volume in enumerate(volumes):
        where = f"{field}[{position}]"
        name = volume.get("name")
        wrong = _source(volume, where)
        if not name:
            wrong.append(causes.required(f"{where}.name"))
        else:
            wrong += causes.each(f"{where}.name", name, names.dns_label(name))
        if name in valid:
            wrong.append(causes.duplicate(f"{where}.name", name))
        if wrong:
            found += wrong
        elif name:
            valid[name] = next((kind for kind in volume if kind != "name"), "")
    return found, valid


def _source(volume: Object, where: str) -> list[Cause]:
    kinds = sorted((kind for kind in volume if kind != "name"), key=_ORDER.index)
    if not kinds:
        return [causes.required(where, "must specify a volume type")]
    says = "may not specify more than 1 volume type"
    found = [causes.forbidden(f"{where}.{_CALLED.get(kind, kind)}", says) for kind in kinds[1:]]
    return [*found, *validate_source(kinds[0], volume[kinds[0]], where)]


def validate_source(kind: str, source: Object, where: str, *, persistent: bool = False) -> list[Cause]:
    """A volume's one source, in the field `kind` of what lies at `where`; `persistent` for a PersistentVolume's."""
    found: list[Cause] = []
    at = f"{where}.{kind}"
    match kind:
        case "emptyDir":
            if source.get("sizeLimit", "0")[:1] == "-":
                says = "SizeLimit field must be a valid resource quantity"
                found.append(causes.forbidden(f"{at}.sizeLimit", says))
        case "hostPath":
            found += _host_path(source, at)
        case "configMap":
            found += _keys(source, "name", at)
        case "secret":
            found += _keys(source, "secretName", at)
        case "downwardAPI":
            found += _mode(source, "defaultMode", at)
            found += _files(source.get("items") or (), at)
        case "projected":
            found += _projected(source, at)
        case "persistentVolumeClaim":
            if not source.get("claimName"):
                found.append(causes.required(f"{at}.claimName"))
        case "ephemeral":
            found += _ephemeral(source.get("volumeClaimTemplate"), f"{at}.volumeClaimTemplate")
        case "image":
            found += _image(source, at)
        case _:
            found += sources.validate(kind, source, where, persistent=persistent)
    return found


def _host_path(source: Object, at: str) -> list[Cause]:
    path = source.get("path")
    if not path:
        return [causes.required(f"{at}.path")]
    found = no_backsteps(path, f"{at}.path")
    if source.get("type", "") not in _HOST_PATH_TYPES:
        found.append(causes.not_supported(f"{at}.type", source["type"], _HOST_PATH_TYPES))
    return found


def _image(source: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    if not source.get("reference"):
        found.append(causes.required(f"{at}.reference"))
    policy = source.get("pullPolicy", "Always")
    if policy not in _PULL_POLICIES:
        found.append(causes.not_supported(f"{at}.pullPolicy", policy, _PULL_POLICIES))
    return found


def _ephemeral(template: Object | None, field: str) -> list[Cause]:
    if template is None:
        return [causes.required(field)]
    found = templatemeta.validate_alone(template.get("metadata") or {}, f"{field}.metadata")
    return [*found, *claimspec.validate(template.get("spec") or {}, f"{field}.spec")]


def _keys(source: Object, name: str, field: str) -> list[Cause]:
    found = [] if source.get(name) else [causes.required(f"{field}.{name}")]
    found += _mode(source, "defaultMode", field)
    for position, item in enumerate(source.get("items") or ()):
        where = f"{field}.items[{position}]"
        if not item.get("key"):
            found.append(causes.required(f"{where}.key"))
        found += _path(item, f"{where}.path")
        found += _mode(item, "mode", where)
    return found


def _files(items: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for item in items:
        found += _path(item, f"{field}.path")
        if "fieldRef" in item:
            found += validate_field_ref(item["fieldRef"], f"{field}.fieldRef", _FILE_FIELDS)
            if "resourceFieldRef" in item:
                says = "fieldRef and resourceFieldRef can not be specified simultaneously"
                found.append(causes.invalid(field, "resource", says))
        elif "resourceFieldRef" not in item:
            found.append(causes.required(field, "one of fieldRef and resourceFieldRef is required"))
        else:
            found += validate_resource_ref(item["resourceFieldRef"], f"{field}.resourceFieldRef", in_file=True)
        found += _mode(item, "mode", field)
    return found


def _projected(projected: Object, field: str) -> list[Cause]:
    found = _mode(projected, "defaultMode", field)
    paths: set[str] = set()
    for position, source in enumerate(projected.get("sources") or ()):
        where = f"{field}.sources[{position}]"
        if len(source) > 1:
            found.append(causes.forbidden(where, "may not specify more than 1 volume type per source"))
        for kind in ("secret", "configMap"):
            if kind in source:
                found += _keys(source[kind], "name", f"{where}.{kind}")
                found += _twice(source[kind], paths, field, source[kind].get("name") or "")
        if "downwardAPI" in source:
            found += _files(source["downwardAPI"].get("items") or (), f"{where}.downwardAPI")
            found += _twice(source["downwardAPI"], paths, field)
        token = source.get("serviceAccountToken")
        if token is not None:
            seconds = token.get("expirationSeconds", 3600)
            at = f"{where}.serviceAccountToken.expirationSeconds"
            if seconds < _LEAST_TOKEN_SECONDS:
                found.append(causes.invalid(at, seconds, "may not specify a duration less than 10 minutes"))
            elif seconds > 1 << 32:
                found.append(causes.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds"))
            found += _path(token, f"{field}.path")
    return found


def _twice(source: Object, taken: set[str], field: str, shown: str | None = None) -> list[Cause]:
    """Paths that an earlier source of the volume has written."""
    found: list[Cause] = []
    for item in source.get("items") or ():
        path = item.get("path") or ""
        if path and path in taken:
            found.append(causes.invalid(field, path if shown is None else shown, "conflicting duplicate paths"))
        taken.add(path)
    return found


def _path(item: Object, field: str) -> list[Cause]:
    path = item.get("path")
    if not path:
        return [causes.required(field)]
    found = validate_descending(path, field)
    if path.startswith("..") and not path.startswith("../"):
        found.append(causes.invalid(field, path, "must not start with '..'"))
    return found


def _mode(source: Object, name: str, field: str) -> list[Cause]:
    mode = source.get(name)
    if mode is None or 0 <= mode <= 0o777:
        return []
    return [causes.invalid(f"{field}.{name}", mode, _MODE_SAYS)]
