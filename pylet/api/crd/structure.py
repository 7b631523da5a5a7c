"""Whether a schema is structural: every field is specified outside of what only validates.

Source: apiextensions-apiserver pkg/apiserver/schema/{validation,complete}.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pylet.api import causes
from pylet.api.errors import Cause
from pylet.api.object import Object

JUNCTORS = ("allOf", "anyOf", "oneOf")
_TYPE_AT = {"root": "at the root", "item": "for specified array items", "field": "for specified object fields"}
_INT_OR_STRING = [{"type": "integer"}, {"type": "string"}]
_NESTED = (
    ("type", "must be empty to be structural"),
    ("additionalProperties", "must be undefined to be structural"),
    ("default", "must be undefined to be structural"),
    ("title", "must be empty to be structural"),
    ("description", "must be empty to be structural"),
    ("nullable", "must be false to be structural"),
    ("x-kubernetes-preserve-unknown-fields", "must be false to be structural"),
    ("x-kubernetes-embedded-resource", "must be false to be structural"),
    ("x-kubernetes-int-or-string", "must be false to be structural"),
    ("x-kubernetes-list-map-keys", "must be empty to be structural"),
    ("x-kubernetes-list-type", "must be undefined to be structural"),
    ("x-kubernetes-map-type", "must be undefined to be structural"),
    ("x-kubernetes-validations", "must be empty to be structural"),
)


def invariants(schema: Object, level: str, where: str) -> Iterator[Cause]:
    """In no order. `level` is what the schema is for: root, item (of a list) or field."""
    word = schema.get
    is_embedded = bool(word("x-kubernetes-embedded-resource"))
    yield from _inside(schema, where)
    yield from _extensions(schema, where)
    yield from _values(schema, where, skip_any_of=word("anyOf") == _INT_OR_STRING)
    yield from _type(schema, level, where)
    if level == "root" and word("additionalProperties") is not None:
        yield causes.forbidden(f"{where}.additionalProperties", "must not be used at the root")
    if is_embedded:
        yield from _embedded(schema, where)
    if is_embedded or level == "root":
        yield from _object_fields(word("properties") or {}, level, f"{where}.properties")


def _inside(schema: Object, where: str) -> Iterator[Cause]:
    items, more = schema.get("items"), schema.get("additionalProperties")
    if schema.get("type") == "array" and items is None:
        yield causes.required(f"{where}.items", "must be specified")
    if isinstance(items, dict):
        yield from invariants(items, "item", f"{where}.items")
    for name, inner in (schema.get("properties") or {}).items():
        yield from invariants(inner, "field", f"{where}.properties[{name}]")
    if isinstance(more, dict):
        yield from invariants(more, "field", f"{where}.additionalProperties")


def _type(schema: Object, level: str, where: str) -> Iterator[Cause]:
    word, type_ = schema.get, schema.get("type") or ""
    if word("x-kubernetes-embedded-resource") and type_ != "object":
        says = "must be object if x-kubernetes-embedded-resource is true"
        yield causes.invalid(f"{where}.type", type_, says) if type_ else causes.required(f"{where}.type", says)
    elif not type_ and not word("x-kubernetes-int-or-string") and not word("x-kubernetes-preserve-unknown-fields"):
        yield causes.required(f"{where}.type", f"must not be empty {_TYPE_AT[level]}")
    if level == "root" and type_ and type_ != "object":
        yield causes.invalid(f"{where}.type", type_, "must be object at the root")


def _embedded(schema: Object, where: str) -> Iterator[Cause]:
    if schema.get("additionalProperties") is not None:
        says = "must not be used if x-kubernetes-embedded-resource is set"
        yield causes.forbidden(f"{where}.additionalProperties", says)
    if not schema.get("x-kubernetes-preserve-unknown-fields") and not schema.get("properties"):
        says = "without x-kubernetes-preserve-unknown-fields"
        says = f"must not be empty if x-kubernetes-embedded-resource is true {says}"
        yield causes.required(f"{where}.properties", says)


def _object_fields(properties: Object, level: str, where: str) -> Iterator[Cause]:
    """What every object has: kind, apiVersion and metadata."""
    for name in ("kind", "apiVersion"):
        if name in properties and (type_ := properties[name].get("type") or "") != "string":
            yield causes.invalid(f"{where}[{name}].type", type_, "must be string")
    if "metadata" in properties:
        yield from _metadata(properties["metadata"], level, f"{where}[metadata]")


def _metadata(meta: Object, level: str, where: str) -> list[Cause]:
    found: list[Cause] = []
    if meta.get("type") != "object":
        found.append(causes.invalid(f"{where}.type", meta.get("type") or "", "must be object"))
    if level == "root":
        rest = {name for name in meta if name not in ("type", "description", "default") and meta[name]}
        only_names = not meta.get("properties", {}).keys() - {"name", "generateName"}
        if rest - {"properties"} or not only_names:
            says = "must not specify anything other than name and generateName, but metadata is implicitly specified"
            found.append(causes.forbidden(where, says))
    return found


def _extensions(schema: Object, where: str) -> list[Cause]:
    if not schema.get("x-kubernetes-int-or-string"):
        return []
    clashing = ("x-kubernetes-preserve-unknown-fields", "x-kubernetes-embedded-resource")
    says = "must be false if x-kubernetes-int-or-string is true"
    return [causes.invalid(f"{where}.{word}", True, says) for word in clashing if schema.get(word)]


def _values(schema: Object, where: str, *, skip_any_of: bool = False) -> list[Cause]:
    """Value validations: what is nested in them may only validate."""
    found: list[Cause] = []
    for word in ("anyOf", "allOf", "oneOf"):
        if word == "anyOf" and skip_any_of:
            continue
        for position, inner in enumerate(schema.get(word) or ()):
            skips = word == "allOf" and position == 0 and inner.get("anyOf") == _INT_OR_STRING
            found += _nested(inner, f"{where}.{word}[{position}]", skip_any_of=skips)
    if isinstance(schema.get("not"), dict):
        found += _nested(schema["not"], f"{where}.not")
    if pattern := schema.get("pattern"):
        from pylet.api.cel import re2

        try:
            re2.compile_pattern(pattern)
        except re2.BadPattern as bad:
            says = f"must be a valid regular expression, but isn't: {bad}"
            found.append(causes.invalid(f"{where}.pattern", pattern, says))
    return found


def _nested(schema: Object, where: str, *, skip_any_of: bool = False) -> list[Cause]:
    found = _values(schema, where, skip_any_of=skip_any_of)
    if isinstance(schema.get("items"), dict):
        found += _nested(schema["items"], f"{where}.items")
    for name, inner in (schema.get("properties") or {}).items():
        found += _nested(inner, f"{where}.properties[{name}]")
    for word, says in _NESTED:
        value = schema.get(word)
        if value or (word in ("additionalProperties", "default") and value is not None):
            found.append(causes.forbidden(f"{where}.{word}", says))
    if "metadata" in (schema.get("properties") or {}):
        says = "must not be specified in a nested context"
        found.append(causes.forbidden(f"{where}.properties[metadata]", says))
    return found


def completeness(values: Object, schema: Any, place: str, where: str) -> list[Cause]:
    """What value validations of the root name must be specified outside of them; upstream looks no deeper."""
    found: list[Cause] = []
    inner_values = [(values["not"], f"{where}.not")] if isinstance(values.get("not"), dict) else []
    for word in JUNCTORS:
        inner_values += [(inner, f"{where}.{word}[{at}]") for at, inner in enumerate(values.get(word) or ())]
    for inner, path in inner_values:
        found += _nested_completeness(inner, schema, place, path)
    return found


def _nested_completeness(values: Object, schema: Any, place: str, where: str) -> list[Cause]:
    if not isinstance(schema, dict):
        return [causes.required(place, f"because it is defined in {where}")]
    found = completeness(values, schema, place, where) if values is not schema else []
    if isinstance(values.get("items"), dict):
        found += _nested_completeness(values["items"], schema.get("items"), f"{place}.items", f"{where}.items")
    for name, inner in (values.get("properties") or {}).items():
        path = f"properties[{name}]"
        known = (schema.get("properties") or {}).get(name)
        found += _nested_completeness(inner, known, f"{place}.{path}", f"{where}.{path}")
    return found
