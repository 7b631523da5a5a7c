"""The sources of volumes that other machines serve, and of drivers: what each must say.

Source: core validation.go, validate*VolumeSource. Most have fields that must be there, a few rules besides.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from pylet.api import causes, names
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec.paths import no_backsteps, validate_descending

Rule = Callable[[Object, str], list[Cause]]

_REQUIRED: dict[str, tuple[str, ...]] = {
    "gitRepo": ("repository",),
    "gcePersistentDisk": ("pdName",),
    "awsElasticBlockStore": ("volumeID",),
    "nfs": ("server", "path"),
    "iscsi": ("targetPortal", "iqn"),
    "glusterfs": ("endpoints", "path"),
    "rbd": ("monitors", "image"),
    "cinder": ("volumeID",),
    "cephfs": ("monitors",),
    "flexVolume": ("driver",),
    "azureFile": ("secretName", "shareName"),
    "vsphereVolume": ("volumePath",),
    "photonPersistentDisk": ("pdID",),
    "portworxVolume": ("volumeID",),
    "azureDisk": ("diskName", "diskURI"),
    "scaleIO": ("gateway", "system", "volumeName"),
    "local": ("path",),
    "quobyte": ("volume",),
}
_SHOWN = {"gcePersistentDisk": "persistentDisk"}
_NAMED_SECRETS = {"cinder": "secretRef", "storageos": "secretRef"}
_HOST_PORTS = "must be a host:port pair or multiple pairs separated by commas"
_INITIATORS = {
    "iqn": r"iqn\.\d{4}-\d{2}\.([A-Za-z0-9\-\.]+)(:[A-Za-z0-9\-\._:]+)?",
    "eui": r"eui\.[A-Fa-f0-9]{16}",
    "naa": r"naa\.[A-Fa-f0-9]{32}",
}
_BLOB = "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
_MANAGED = "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
_SECRET_REFS = (
    "controllerPublishSecretRef",
    "controllerExpandSecretRef",
    "nodePublishSecretRef",
    "nodeExpandSecretRef",
)


def validate(kind: str, source: Object, where: str, *, persistent: bool = False) -> list[Cause]:
    """`where` is what holds the source in its field `kind`; `persistent` for a PersistentVolume's."""
    at = f"{where}.{_SHOWN.get(kind, kind)}"
    found = [causes.required(f"{at}.{name}") for name in _REQUIRED.get(kind, ()) if not source.get(name)]
    if kind in _NAMED_SECRETS and _NAMED_SECRETS[kind] in source:
        name = _NAMED_SECRETS[kind]
        if not source[name].get("name"):
            found.append(causes.required(f"{at}.{name}.name"))
    match kind:
        case "csi":
            return _csi(source, at, persistent=persistent)
        case "iscsi":
            return [*found, *_iscsi(source, at, persistent=persistent)]
    rule = _RULES.get(kind)
    return found if rule is None else [*found, *rule(source, at)]


def _between(source: Object, name: str, least: int, most: int, at: str) -> list[Cause]:
    number = source.get(name)
    if number is None or least <= number <= most:
        return []
    return [causes.invalid(f"{at}.{name}", number, f"must be between {least} and {most}, inclusive")]


def _partition(source: Object, at: str) -> list[Cause]:
    return _between(source, "partition", 0, 255, at) and [
        causes.invalid(f"{at}.partition", source["partition"], "must be between 1 and 255, inclusive")
    ]


def _git(source: Object, at: str) -> list[Cause]:
    return validate_descending(source.get("directory") or "", f"{at}.directory")


def _nfs(source: Object, at: str) -> list[Cause]:
    path = source.get("path") or ""
    return [] if path.startswith("/") else [causes.invalid(f"{at}.path", path, "must be an absolute path")]


def _local(source: Object, at: str) -> list[Cause]:
    return no_backsteps(source.get("path") or "", f"{at}.path")


def _iscsi(source: Object, at: str, *, persistent: bool) -> list[Cause]:
    found: list[Cause] = []
    start_says = "must be valid format" if persistent else "must be valid format starting with iqn, eui, or naa"
    for name, shown in (("iqn", "iqn"), ("initiatorName", "initiatorname")):
        text = source.get(name)
        if not text:
            continue
        pattern = _INITIATORS.get(text[:3])
        if pattern is None:
            found.append(causes.invalid(f"{at}.{shown}", text, start_says))
        elif not re.fullmatch(pattern, text):
            found.append(causes.invalid(f"{at}.{shown}", text, "must be valid format"))
    found += _between(source, "lun", 0, 255, at)
    if (source.get("chapAuthDiscovery") or source.get("chapAuthSession")) and "secretRef" not in source:
        found.append(causes.required(f"{at}.secretRef"))
    return found


def _flocker(source: Object, at: str) -> list[Cause]:
    name, uuid = source.get("datasetName") or "", source.get("datasetUUID") or ""
    found: list[Cause] = []
    if not name and not uuid:
        found.append(causes.required(at, "one of datasetName and datasetUUID is required"))
    if name and uuid:
        says = "datasetName and datasetUUID can not be specified simultaneously"
        found.append(causes.invalid(at, "resource", says))
    if "/" in name:
        found.append(causes.invalid(f"{at}.datasetName", name, "must not contain '/'"))
    return found


def _quobyte(source: Object, at: str) -> list[Cause]:
    registry = source.get("registry") or ""
    if not registry:
        return [causes.required(f"{at}.registry", _HOST_PORTS)]
    if len(source.get("tenant") or "") > 64:
        return [causes.required(f"{at}.tenant", "must be a UUID and may not exceed a length of 64 characters")]
    bad = sum(not re.fullmatch(r"([^:\[\]]*|\[[^\[\]]*\]):[^:]*", pair) for pair in registry.split(","))
    return [causes.invalid(f"{at}.registry", registry, _HOST_PORTS)] * bad


def _fc(source: Object, at: str) -> list[Cause]:
    names_, ids = source.get("targetWWNs") or [], source.get("wwids") or []
    found: list[Cause] = []
    if not names_ and not ids:
        says = "must specify either targetWWNs or wwids, but not both"
        found.append(causes.required(f"{at}.targetWWNs", says))
    if names_ and ids:
        says = "targetWWNs and wwids can not be specified simultaneously"
        found.append(causes.invalid(f"{at}.targetWWNs", names_, says))
    if names_ and "lun" not in source:
        found.append(causes.required(f"{at}.lun", "lun is required if targetWWNs is specified"))
    return [*found, *(_between(source, "lun", 0, 255, at) if names_ else ())]


def _flex(source: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    for key in source.get("options") or ():
        namespace = key.partition("/")[0]
        if "/" in key and f".{namespace}".endswith((".kubernetes.io", ".k8s.io")):
            says = "kubernetes.io and k8s.io namespaces are reserved"
            found.append(causes.invalid(f"{at}.options[{key}]", key, says))
    return found


def _azure_disk(source: Object, at: str) -> list[Cause]:
    found: list[Cause] = []
    uri, kind = source.get("diskURI") or "", source.get("kind") or ""
    for name, choices in (
        ("cachingMode", ("None", "ReadOnly", "ReadWrite")),
        ("kind", ("Dedicated", "Managed", "Shared")),
    ):
        if source.get(name) and source[name] not in choices:
            found.append(causes.not_supported(f"{at}.{name}", source[name], choices))
    if kind == "Managed" and not uri.startswith("/subscriptions"):
        found.append(causes.not_supported(f"{at}.diskURI", uri, (_MANAGED,)))
    if kind != "Managed" and not uri.startswith("https://"):
        found.append(causes.not_supported(f"{at}.diskURI", uri, (_BLOB,)))
    return found


def _storageos(source: Object, at: str) -> list[Cause]:
    name, namespace = source.get("volumeName") or "", source.get("volumeNamespace") or ""
    found = (
        causes.each(f"{at}.volumeName", name, names.dns_label(name)) if name else [causes.required(f"{at}.volumeName")]
    )
    if namespace:
        found += causes.each(f"{at}.volumeNamespace", namespace, names.dns_label(namespace))
    return found


def _csi(source: Object, at: str, *, persistent: bool) -> list[Cause]:
    driver = source.get("driver") or ""
    if not driver:
        found = [causes.required(f"{at}.driver")]
    else:
        found = [causes.too_long(f"{at}.driver", names.LABEL_BYTES)] if len(driver) > names.LABEL_BYTES else []
        found += causes.each(f"{at}.driver", driver, names.dns_subdomain(driver.lower()))
    if persistent and not source.get("volumeHandle"):
        found.append(causes.required(f"{at}.volumeHandle"))
    for reference in _SECRET_REFS:
        if reference not in source:
            continue
        checks = (("name", names.dns_subdomain), ("namespace", names.dns_label)) if persistent else (("name", None),)
        for name, check in checks:
            field, value = f"{at}.{reference}.{name}", source[reference].get(name)
            if not value:
                found.append(causes.required(field))
            elif check is not None:
                found += causes.each(field, value, check(value))
    return found


_RULES: dict[str, Rule] = {
    "gitRepo": _git,
    "gcePersistentDisk": _partition,
    "awsElasticBlockStore": _partition,
    "nfs": _nfs,
    "local": _local,
    "flocker": _flocker,
    "quobyte": _quobyte,
    "fc": _fc,
    "flexVolume": _flex,
    "azureDisk": _azure_disk,
    "storageos": _storageos,
}
