"""Environment variables of containers, and what of a pod they and its files may show."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from pylet.api import causes, names
from pylet.api.containers import placed
from pylet.api.errors import Cause
from pylet.api.object import Object
from pylet.api.podspec.paths import no_backsteps
from pylet.api.quantity import parse

_SOURCES = ("fieldRef", "resourceFieldRef", "configMapKeyRef", "secretKeyRef", "fileKeyRef")
_FIELDS = (
    "metadata.name",
    "metadata.namespace",
    "metadata.uid",
    "spec.nodeName",
    "spec.serviceAccountName",
    "status.hostIP",
    "status.hostIPs",
    "status.podIP",
    "status.podIPs",
)
_RESOURCES = tuple(
    f"{kind}.{name}" for kind in ("limits", "requests") for name in ("cpu", "ephemeral-storage", "memory")
)
_BYTES = ("1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei")
_DIVISORS = {
    "cpu": (("1m", "1"), "cpu resource"),
    "memory": (_BYTES, "memory resource"),
    "ephemeral-storage": (_BYTES, "local ephemeral storage resource"),
    "hugepages": (_BYTES, "hugepages resource"),
}


def validate(env: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, variable in enumerate(env):
        name = variable.get("name")
        if not name:
            found.append(causes.required(f"{field}[{position}].name"))
        elif problems := names.env_var_name(name):
            found += causes.each(f"{field}[{position}].name", name, problems)
        source = variable.get("valueFrom")
        if source is not None:
            found += _source(variable, source, f"{field}[{position}].valueFrom")
    return found


def _source(variable: Object, source: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    kinds = [kind for kind in _SOURCES if kind in source]
    if "fieldRef" in source:
        found += validate_field_ref(source["fieldRef"], f"{field}.fieldRef", _FIELDS)
    if "resourceFieldRef" in source:
        found += validate_resource_ref(source["resourceFieldRef"], f"{field}.resourceFieldRef")
    if "fileKeyRef" in source:
        found += _file_key(source["fileKeyRef"], f"{field}.fileKeyRef")
    for kind in ("configMapKeyRef", "secretKeyRef"):
        if kind in source:
            where, reference = f"{field}.{kind}", source[kind]
            name = reference.get("name") or ""
            found += causes.each(f"{where}.name", name, names.dns_subdomain(name))
            if not reference.get("key"):
                found.append(causes.required(f"{where}.key"))
            else:
                found += causes.each(f"{where}.key", reference["key"], names.config_key(reference["key"]))
    if not kinds:
        says = "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        found.append(causes.invalid(field, "", says))
    elif variable.get("value"):
        found.append(causes.invalid(field, "", "may not be specified when `value` is not empty"))
    elif len(kinds) > 1:
        found.append(causes.invalid(field, "", "may not have more than one field specified at a time"))
    return found


def validate_files(spec: Object, volumes: Mapping[str, str], field: str) -> list[Cause]:
    """Variables out of files: they come from an emptyDir of the pod."""
    found: list[Cause] = []
    for container, at in placed(spec, field):
        for position, variable in enumerate(container.get("env") or ()):
            reference = (variable.get("valueFrom") or {}).get("fileKeyRef")
            if reference is None:
                continue
            where = f"{at}.env[{position}].valueFrom.fileKeyRef.volumeName"
            name = reference.get("volumeName", "")
            if name not in volumes:
                found.append(causes.not_found(where, name))
            elif volumes[name] != "emptyDir":
                found.append(causes.invalid(where, name, "referenced volume must be of type emptyDir"))
    return found


def validate_field_ref(reference: Object, field: str, supported: Collection[str]) -> list[Cause]:
    """A downward API reference; `metadata.labels['key']` and annotations besides those supported as they are."""
    path, version = reference.get("fieldPath", ""), reference.get("apiVersion", "v1")
    if path and version != "v1":
        says = f"error converting fieldPath: unsupported pod version: {version}"
        return [causes.invalid(f"{field}.fieldPath", path, says)]
    if path in supported:
        return []
    if not path:
        return [causes.required(f"{field}.fieldPath")]
    name, bracket, key = path.partition("['")
    if bracket and key.endswith("']"):
        key = key[:-2]
        if name == "metadata.annotations":
            return causes.each(field, key.lower(), names.qualified_name(key.lower()))
        if name == "metadata.labels":
            return causes.each(field, key, names.qualified_name(key))
        return [
            causes.invalid(
                f"{field}.fieldPath",
                path,
                f"error converting fieldPath: field label does not support subscript: {path}",
            )
        ]
    known = (*_FIELDS, "metadata.annotations", "metadata.labels")
    if path not in known:
        return [
            causes.invalid(f"{field}.fieldPath", path, f"error converting fieldPath: field label not supported: {path}")
        ]
    return [causes.not_supported(f"{field}.fieldPath", path, sorted(supported))]


def validate_from(sources: Iterable[Object], field: str) -> list[Cause]:
    found: list[Cause] = []
    for position, source in enumerate(sources):
        where = f"{field}[{position}]"
        if prefix := source.get("prefix"):
            found += causes.each(f"{where}.prefix", prefix, names.env_var_name(prefix))
        kinds = [kind for kind in ("configMapRef", "secretRef") if kind in source]
        for kind in kinds:
            name = source[kind].get("name") or ""
            problems = names.dns_subdomain(name)
            at = f"{where}.{kind}.name"
            found += causes.each(at, name, problems) if name else [causes.required(at)]
        if not kinds:
            found.append(causes.invalid(field, "", "must specify one of: `configMapRef` or `secretRef`"))
        elif len(kinds) > 1:
            found.append(causes.invalid(field, "", "may not have more than one field specified at a time"))
    return found


def validate_resource_ref(reference: Object, field: str, *, in_file: bool = False) -> list[Cause]:
    """What a container may have, `in_file`: of a container that must be named."""
    if in_file and not reference.get("containerName"):
        return [causes.required(f"{field}.containerName")]
    resource = reference.get("resource") or ""
    if not resource:
        return [causes.required(f"{field}.resource")]
    if resource not in _RESOURCES and not resource.startswith(("limits.hugepages-", "requests.hugepages-")):
        return [causes.not_supported(f"{field}.resource", resource, _RESOURCES)]
    divisor = reference.get("divisor", "0")
    name = resource.partition(".")[2]
    allowed, called = _DIVISORS["hugepages" if name.startswith("hugepages-") else name]
    if not parse(divisor).nanos or divisor in allowed:
        return []
    listed = " and ".join(allowed) if name == "cpu" else ", ".join(allowed)
    says = f"only divisor's values {listed} are supported with the {called}"
    return [causes.invalid(f"{field}.divisor", resource, says)]


def _file_key(reference: Object, field: str) -> list[Cause]:
    key, volume, path = (reference.get(name) or "" for name in ("key", "volumeName", "path"))
    found = causes.each(f"{field}.key", key, names.env_var_name(key)) if key else [causes.required(f"{field}.key")]
    at = f"{field}.volumeName"
    found += causes.each(at, volume, names.dns_label(volume)) if volume else [causes.required(at)]
    return [*found, *(no_backsteps(path, f"{field}.path") if path else [causes.required(f"{field}.path")])]
