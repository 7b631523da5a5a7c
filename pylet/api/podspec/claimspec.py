"""What a claim on storage must look like, in claims and in templates of claims. Source: core validation.go."""

from __future__ import annotations

from collections.abc import Iterable

from pylet.api import causes, names, quantity, selector
from pylet.api.errors import Cause
from pylet.api.object import Object, dig

ACCESS_MODES = {
    "ReadWriteOnce": "RWO",
    "ReadOnlyMany": "ROX",
    "ReadWriteMany": "RWX",
    "ReadWriteOncePod": "RWOP",
}
VOLUME_MODES = ("Block", "Filesystem")
_CLAIM = "PersistentVolumeClaim"


def validate(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    if not spec.get("accessModes"):
        found.append(causes.required(f"{field}.accessModes", "at least 1 access mode is required"))
    if "selector" in spec:
        found += selector.validate_object(spec["selector"], f"{field}.selector")
    found += access_modes(spec.get("accessModes") or (), f"{field}.accessModes")
    storage = dig(spec, "resources", "requests", "storage")
    where = f"{field}.resources[storage]"
    if storage is None:
        found.append(causes.required(where))
    else:
        found += positive(storage, where)
    for name in ("storageClassName", "volumeAttributesClassName"):
        if spec.get(name):
            found += causes.each(f"{field}.{name}", spec[name], names.dns_subdomain(spec[name]))
    mode = spec.get("volumeMode")
    if mode is not None and mode not in VOLUME_MODES:
        found.append(causes.not_supported(f"{field}.volumeMode", mode, VOLUME_MODES))
    return [*found, *_sources(spec, field)]


def access_modes(modes: Iterable[str], field: str) -> list[Cause]:
    given = list(modes)
    found = [causes.not_supported(field, mode, sorted(ACCESS_MODES)) for mode in given if mode not in ACCESS_MODES]
    if "ReadWriteOncePod" in given and any(mode in ACCESS_MODES and mode != "ReadWriteOncePod" for mode in given):
        found.append(causes.forbidden(field, "may not use ReadWriteOncePod with other access modes"))
    return found


def positive(amount: str, field: str) -> list[Cause]:
    return [] if quantity.parse(amount).nanos > 0 else [causes.invalid(field, amount, "must be greater than zero")]


def _sources(spec: Object, field: str) -> list[Cause]:
    found: list[Cause] = []
    source, reference = spec.get("dataSource"), spec.get("dataSourceRef")
    for name, given in (("dataSource", source), ("dataSourceRef", reference)):
        if given is not None:
            found += _source(given, f"{field}.{name}")
    if source is not None and reference is not None:
        if reference.get("namespace"):
            says = "may not be specified when dataSourceRef.namespace is specified"
            found.append(causes.invalid(field, {}, says))
        elif any(source.get(name) != reference.get(name) for name in ("apiGroup", "kind", "name")):
            found.append(causes.invalid(field, {}, "must match dataSourceRef"))
    return found


def _source(source: Object, field: str) -> list[Cause]:
    found = [causes.required(f"{field}.{name}") for name in ("name", "kind") if not source.get(name)]
    group = source.get("apiGroup") or ""
    if group:
        found += causes.each(f"{field}.apiGroup", group, names.dns_subdomain(group))
    elif source.get("kind") != _CLAIM:
        says = f"must be '{_CLAIM}' when referencing the default apiGroup"
        found.append(causes.invalid(field, source.get("kind", ""), says))
    if namespace := source.get("namespace"):
        found += causes.each(f"{field}.namespace", namespace, names.dns_label(namespace))
    return found


def modes_cell(modes: Iterable[str] | None) -> str:
    """`RWO,ROX`: always in the same order."""
    given = set(modes or ())
    return ",".join(short for mode, short in ACCESS_MODES.items() if mode in given)
