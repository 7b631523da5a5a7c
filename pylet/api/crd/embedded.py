"""Objects embedded in custom objects have to be objects: apiVersion, kind, and metadata by the common rules.

Source: apiextensions-apiserver pkg/apiserver/schema/objectmeta/validation.go.
"""

from __future__ import annotations

from typing import Any

from pylet.api import causes, names
from pylet.api.crd.structural import Structural
from pylet.api.errors import Cause
from pylet.api.object import Object

_MIXED = "may have mixed case, but should otherwise match: "


def problems(value: Any, node: Structural | None, path: str = "") -> list[Cause]:
    """What is wrong with embedded objects below the root, whose own metadata the registry judges."""
    found: list[Cause] = []
    if node is None:
        return found
    if value.__class__ is dict:
        if node.embedded and path:
            found += _object(value, path)
        for name, inner in value.items():
            if inner.__class__ is dict or inner.__class__ is list:
                in_map = name not in node.properties
                where = f"{path}[{name}]" if in_map else f"{path}.{name}" if path else name
                found += problems(inner, node.of(name), where)
    elif value.__class__ is list:
        for position, inner in enumerate(value):
            found += problems(inner, node.item, f"{path}[{position}]")
    return found


def _object(obj: Object, path: str) -> list[Cause]:
    found = [causes.required(f"{path}.{field}") for field in ("apiVersion", "kind") if field not in obj]
    for field in ("apiVersion", "kind"):
        value = obj.get(field)
        if value == "":
            found.append(causes.invalid(f"{path}.{field}", "", "must not be empty"))
    version, kind = obj.get("apiVersion") or "", obj.get("kind") or ""
    if version.count("/") > 1:
        says = f"unexpected GroupVersion string: {version}"
        found.append(causes.invalid(f"{path}.apiVersion", version, says))
    if kind and (wrong := names.dns_1035_label(kind.lower())):
        found.append(causes.invalid(f"{path}.kind", kind, _MIXED + ",".join(wrong)))
    return found + _meta(obj.get("metadata") or {}, f"{path}.metadata")


def _meta(meta: Object, path: str) -> list[Cause]:
    found = causes.each(f"{path}.name", meta.get("name") or "", names.path_segment(meta.get("name") or "fakename"))
    if namespace := meta.get("namespace"):
        found += causes.each(f"{path}.namespace", namespace, names.dns_label(namespace))
    for key, value in (meta.get("labels") or {}).items():
        found += causes.each(f"{path}.labels", key, names.qualified_name(key))
        found += causes.each(f"{path}.labels", value, names.label_value(value))
    for key in meta.get("annotations") or ():
        found += causes.each(f"{path}.annotations", key, names.qualified_name(key.lower()))
    for finalizer in meta.get("finalizers") or ():
        found += causes.each(f"{path}.finalizers", finalizer, names.qualified_name(finalizer))
    return found
