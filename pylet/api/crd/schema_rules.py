"""Whether an openAPIV3Schema is one that Kubernetes takes: its words, its structure (structure.py), its defaults.

Source: apiextensions-apiserver pkg/apis/apiextensions/validation (ValidateCustomResourceDefinitionOpenAPISchema) and
pkg/apiserver/schema/defaulting/validation.go.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import orjson

from pylet.api import causes
from pylet.api.crd import embedded, pruning, structure, validation
from pylet.api.crd.structural import Structural
from pylet.api.errors import Cause
from pylet.api.object import Object

_TYPES = ("array", "boolean", "integer", "number", "object", "string")
_UNSUPPORTED = ("id", "additionalItems", "patternProperties", "definitions", "dependencies", "$ref")
_META = ("metadata", "kind", "apiVersion")
_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")
_AT_ROOT = (
    "Description", "Type", "Format", "Title", "Maximum", "ExclusiveMaximum", "Minimum", "ExclusiveMinimum",
    "MaxLength", "MinLength", "Pattern", "MaxItems", "MinItems", "UniqueItems", "MultipleOf", "Required", "Items",
    "Properties", "ExternalDocs", "Example", "XPreserveUnknownFields", "XValidations",
)  # fmt: skip
_ROOT_WORDS = frozenset(
    [f"{name[0].lower()}{name[1:]}" for name in _AT_ROOT]
    + ["x-kubernetes-preserve-unknown-fields", "x-kubernetes-validations"]
)


def validate(schema: Object, where: str, *, has_status: bool) -> list[Cause]:
    """What is wrong with one version's schema."""
    found: list[Cause] = []
    if has_status:
        found += _status_root(schema, where)
    if schema.get("nullable"):
        found.append(causes.forbidden(f"{where}.nullable", "nullable cannot be true at the root"))
    if any(isinstance(inner.get("items"), list) for inner in nested(schema)):  # then upstream looks no further
        return found + _words(schema, where, is_root=True, inside_meta=False, defaults="")
    structural = sorted(
        [*structure.invariants(schema, "root", where), *structure.completeness(schema, schema, where, where)], key=str
    )
    if not structural:
        structural = _defaults(schema, where, inside_meta=False, is_root=True)
    found += structural
    words = _words(schema, where, is_root=True, inside_meta=False, defaults="")
    found += words
    if not found and any(inner.get("x-kubernetes-validations") for inner in nested(schema)):
        from pylet.api.cel import definitions

        found += definitions.problems(schema, where)
    return found


def nested(schema: Any) -> Iterator[Object]:
    """The schema and all within it."""
    if not isinstance(schema, dict):
        return
    yield schema
    for word in ("items", "additionalProperties", "not"):
        yield from nested(schema.get(word))
    for word in structure.JUNCTORS:
        for inner in schema.get(word) or ():
            yield from nested(inner)
    for inner in (schema.get("properties") or {}).values():
        yield from nested(inner)


def _status_root(schema: Object, where: str) -> list[Cause]:
    for word, value in schema.items():
        if word == "type":
            if value != "object":
                says = "is allowed as the type at the root of the schema if the status subresource is enabled"
                says = f'only "object" {says}'
                return [causes.invalid(f"{where}.type", value, says)]
        elif word not in _ROOT_WORDS and value not in (None, False, "", [], {}):
            listed = f"[{' '.join(_AT_ROOT)}]"
            says = f"only {listed} fields are allowed at the root of the schema if the status subresource is enabled"
            return [causes.invalid(where, schema, says)]
    return []


# ---- defaults


def _defaults(schema: Object, where: str, *, inside_meta: bool, is_root: bool = False) -> list[Cause]:
    found: list[Cause] = []
    is_resource = is_root or bool(schema.get("x-kubernetes-embedded-resource"))
    value = schema.get("default")
    if value is not None and not inside_meta:
        found += _default(value, schema, f"{where}.default", is_resource=is_resource)
    if isinstance(schema.get("items"), dict):
        found += _defaults(schema["items"], f"{where}.items", inside_meta=inside_meta)
    for name, inner in (schema.get("properties") or {}).items():
        meta = inside_meta or (is_resource and name in _META)
        found += _defaults(inner, f"{where}.properties[{name}]", inside_meta=meta)
    return found


def _default(value: Any, schema: Object, where: str, *, is_resource: bool) -> list[Cause]:
    node = Structural(schema)
    node.embedded = is_resource
    pruned = orjson.loads(orjson.dumps(value))
    lost: list[str] = []
    pruning.prune(pruned, node, "", lost)
    found = [causes.invalid(where, value, "must not have unknown fields")] if lost else []
    found += embedded.problems(value, node, where)
    wrong = validation.validate(value, node)
    for cause in wrong:
        is_inside = cause.field not in ("", "<nil>")
        found.append(Cause(cause.reason, cause.message, f"{where}.{cause.field}" if is_inside else where))
    if not wrong and any(inner.get("x-kubernetes-validations") for inner in nested(schema)):
        from pylet.api.cel.rules import compile_rules

        rules = compile_rules(schema, root=is_resource)
        found += rules.validate(value, None, where) if rules is not None else []
    return found


# ---- words


def _words(schema: Object, where: str, *, is_root: bool, inside_meta: bool, defaults: str) -> list[Cause]:
    """`defaults` says where defaults are forbidden; "" where they are not."""
    word = schema.get
    found = _standard(schema, where, inside_meta=inside_meta, defaults=defaults)
    if word("uniqueItems"):
        says = "uniqueItems cannot be set to true since the runtime complexity becomes quadratic"
        found.append(causes.forbidden(f"{where}.uniqueItems", says))
    more, properties = word("additionalProperties"), word("properties") or {}
    if more is not None:
        if properties and more is not True:
            says = "additionalProperties and properties are mutual exclusive"
            found.append(causes.forbidden(f"{where}.additionalProperties", says))
        if isinstance(more, dict):
            why = "inside additionalProperties applying to object metadata" if inside_meta else defaults
            path = f"{where}.additionalProperties"
            found += _words(more, path, is_root=False, inside_meta=inside_meta, defaults=why)
    for name, inner in properties.items():
        is_meta = (is_root or bool(word("x-kubernetes-embedded-resource"))) and name in _META
        why = f"in top-level {name}" if is_root and is_meta else defaults
        path = f"{where}.properties[{name}]"
        found += _words(inner, path, is_root=False, inside_meta=inside_meta or is_meta, defaults=why)
    inside: list[tuple[Any, str]] = [(word("not"), f"{where}.not"), (word("items"), f"{where}.items")]
    for junctor in structure.JUNCTORS:
        inside += [(inner, f"{where}.{junctor}[{at}]") for at, inner in enumerate(word(junctor) or ())]
    for inner, path in inside:
        if isinstance(inner, dict):
            found += _words(inner, path, is_root=False, inside_meta=inside_meta, defaults=defaults)
    if word("x-kubernetes-preserve-unknown-fields") is False:
        place = f"{where}.x-kubernetes-preserve-unknown-fields"
        found.append(causes.invalid(place, False, "must be true or undefined"))
    found += _list_words(schema, where)
    for position, rule in enumerate(word("x-kubernetes-validations") or ()):
        found += _rule(rule, schema, f"{where}.x-kubernetes-validations[{position}]")
    return found


def _standard(schema: Object, where: str, *, inside_meta: bool, defaults: str) -> list[Cause]:
    word = schema.get
    type_ = word("type") or ""
    found: list[Cause] = []
    if type_ and type_ not in _TYPES:
        found.append(causes.not_supported(f"{where}.type", type_, _TYPES))
    if word("default") is not None and defaults:
        found.append(causes.forbidden(f"{where}.default", f"must not be set {defaults}"))
    for name in _UNSUPPORTED:
        if word(name):
            found.append(causes.forbidden(f"{where}.{name}", f"{name} is not supported"))
    if type_ == "null":
        says = "type cannot be set to null, use nullable as an alternative"
        found.append(causes.forbidden(f"{where}.type", says))
    if isinstance(word("items"), list):
        found.append(causes.forbidden(f"{where}.items", "items must be a schema object and not an array"))
    if inside_meta and word("x-kubernetes-embedded-resource"):
        says = "must not be used inside of resource meta"
        found.append(causes.forbidden(f"{where}.x-kubernetes-embedded-resource", says))
    return found


def _list_words(schema: Object, where: str) -> list[Cause]:
    word = schema.get
    type_, items = word("type") or "", word("items")
    list_type, map_type = word("x-kubernetes-list-type"), word("x-kubernetes-map-type")
    keys = word("x-kubernetes-list-map-keys") or []
    found: list[Cause] = []
    for told, wanted, name in ((map_type, "object", "map"), (list_type, "array", "list")):
        if told is not None and type_ != wanted:
            says = f"must be {wanted} if x-kubernetes-{name}-type is specified"
            place = f"{where}.type"
            found.append(causes.invalid(place, type_, says) if type_ else causes.required(place, says))
    if map_type is not None and map_type not in ("atomic", "granular"):
        found.append(causes.not_supported(f"{where}.x-kubernetes-map-type", map_type, ("atomic", "granular")))
    if list_type == "set" and type_ == "array" and isinstance(items, dict):
        found += _set_words(items, where)
    if list_type is not None and list_type not in ("atomic", "set", "map"):
        found.append(causes.not_supported(f"{where}.x-kubernetes-list-type", list_type, ("atomic", "set", "map")))
    if keys and list_type != "map":
        says, place = "must be map if x-kubernetes-list-map-keys is non-empty", f"{where}.x-kubernetes-list-type"
        found.append(causes.required(place, says) if list_type is None else causes.invalid(place, list_type, says))
    if list_type == "map":
        found += _map_list_words(items, keys, where)
    if list_type in ("set", "map") and isinstance(items, dict) and items.get("nullable"):
        says = f"cannot be nullable when x-kubernetes-list-type is {list_type}"
        found.append(causes.forbidden(f"{where}.items.nullable", says))
    if list_type == "map" and isinstance(items, dict):
        found += _key_words(items, keys, where)
    return found


def _set_words(items: Object, where: str) -> list[Cause]:
    says = "must be atomic as item of a list with x-kubernetes-list-type=set"
    list_type = items.get("x-kubernetes-list-type")
    if items.get("type") == "array" and list_type not in (None, "atomic"):
        return [causes.invalid(f"{where}.items.x-kubernetes-list-type", list_type, says)]
    if items.get("type") == "object" and items.get("x-kubernetes-map-type") != "atomic":
        return [causes.invalid(f"{where}.items.x-kubernetes-map-type", list_type, says)]
    return []


def _map_list_words(items: Any, keys: list[str], where: str) -> list[Cause]:
    found: list[Cause] = []
    if not keys:
        says = "must not be empty if x-kubernetes-list-type is map"
        found.append(causes.required(f"{where}.x-kubernetes-list-map-keys", says))
    if items is None:
        return [*found, causes.required(f"{where}.items", "must have a schema if x-kubernetes-list-type is map")]
    if not isinstance(items, dict):
        says = "must only have a single schema if x-kubernetes-list-type is map"
        return [*found, causes.invalid(f"{where}.items", items, says)]
    if items.get("type") != "object":
        says = "must be object if parent array's x-kubernetes-list-type is map"
        return [*found, causes.invalid(f"{where}.items.type", items.get("type") or "", says)]
    for position, key in enumerate(keys):
        known = (items.get("properties") or {}).get(key)
        if known is None:
            says = "entries must all be names of item properties"
            found.append(causes.invalid(f"{where}.x-kubernetes-list-map-keys", keys, says))
        elif known.get("type") in ("array", "object"):
            says = "must be a scalar type if parent array's x-kubernetes-list-type is map"
            found.append(causes.invalid(f"{where}.items.properties[{key}].type", items["type"], says))
        if key in keys[:position]:
            says = "must not contain duplicate entries"
            found.append(causes.invalid(f"{where}.x-kubernetes-list-map-keys", keys, says))
    return found


def _key_words(items: Object, keys: list[str], where: str) -> list[Cause]:
    found: list[Cause] = []
    for key in keys:
        known = (items.get("properties") or {}).get(key)
        if known is None:
            continue
        place, why = f"{where}.items.properties[{key}]", "this property is in x-kubernetes-list-map-keys, so it"
        if key not in (items.get("required") or ()) and known.get("default") is None:
            found.append(causes.required(f"{place}.default", f"{why} must have a default or be a required property"))
        if known.get("nullable"):
            found.append(causes.forbidden(f"{place}.nullable", f"{why} cannot be nullable"))
    return found


def _rule(rule: Object, schema: Object, where: str) -> list[Cause]:
    text, message = rule.get("rule") or "", rule.get("message") or ""
    expression, path = rule.get("messageExpression") or "", rule.get("fieldPath") or ""
    found: list[Cause] = []
    if not text.strip():
        found.append(causes.required(f"{where}.rule", "rule is not specified"))
    elif message and not message.strip():
        found.append(causes.invalid(f"{where}.message", message, "must be non-empty if specified"))
    elif _breaks(message.strip()):
        found.append(causes.invalid(f"{where}.message", message, "must not contain line breaks"))
    elif _breaks(text.strip()) and not message.strip():
        found.append(causes.required(f"{where}.message", "message must be specified if rule contains line breaks"))
    if expression and not expression.strip():
        found.append(causes.required(f"{where}.messageExpression", "messageExpression must be non-empty if specified"))
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        found.append(causes.not_supported(f"{where}.reason", reason, _REASONS))
    if path and not path.strip():
        found.append(causes.invalid(f"{where}.fieldPath", path, "must be non-empty if specified"))
    if _breaks(path):
        found.append(causes.invalid(f"{where}.fieldPath", path, "must not contain line breaks"))
    if path and not _leads_somewhere(path, schema):
        found.append(causes.invalid(f"{where}.fieldPath", path, "must be a valid path"))
    return found


def _leads_somewhere(path: str, schema: Object) -> bool:
    from pylet.api.cel import fieldpath

    try:
        fieldpath.normalized(path, schema)
    except ValueError:
        return False
    return True


def _breaks(text: str) -> bool:
    return "\n" in text or "\r" in text
