"""The documents of OpenAPI: one of version 3 for each group and version, one of version 2 for all.

Made of the operations and the published definitions with their descriptions, on demand. Custom resources bring schemas
of their own. Source: api/openapi-spec, kube-openapi pkg/{builder,builder3}, apiextensions pkg/controller/openapi.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import Any

import orjson

from pylet.api.kind import Kind
from pylet.api.object import Object
from pylet.api.schema.definitions import definition, descriptions
from pylet.api.schema.operations import (
    Operation,
    Paths,
    definition_of,
    group_version_kind,
    list_definition_of,
    shared,
)
from pylet.api.schema.parameters import Parameter
from pylet.api.schema.published_defaults import defaults_of
from pylet.api.schema.published_enums import Values, enums, with_values
from pylet.version import MAJOR, MINOR

_EITHER: dict[str, Object] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}
"""What version 2 of OpenAPI has no words for."""
_V2, _V3 = "#/definitions/", "#/components/schemas/"
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_EVERYWHERE = {f"{_META}DeleteOptions", f"{_META}WatchEvent"}
_INFO = {"title": "Kubernetes", "version": f"{MAJOR}.{MINOR}"}
_BEARER = {
    "BearerToken": {
        "description": "Bearer Token authentication",
        "in": "header",
        "name": "authorization",
        "type": "apiKey",
    }
}
_CODES = {200: "OK", 201: "Created", 202: "Accepted", 401: "Unauthorized"}


def document(paths: Paths, custom: Iterable[Kind] = (), group_version: tuple[str, str] = ("", "v1")) -> Object:
    """The version 3 document of these paths; `custom` are the kinds that bring their own schemas."""
    names = {name for operations in paths.values() for one in operations.values() for name in _refers(one)}
    schemas = components(names, _customs(custom, _V3))
    for name in _EVERYWHERE & schemas.keys():
        schemas[name] = _within(schemas[name], group_version)
    return {
        "openapi": "3.0.0",
        "info": _INFO,
        "paths": {path: _path(paths[path], _operation, _parameter) for path in sorted(paths)},
        "components": {"schemas": schemas, "securitySchemes": _BEARER},
    }


def swagger(paths: Paths, custom: Iterable[Kind] = ()) -> Object:
    """The version 2 document of all paths."""
    names = {name for operations in paths.values() for one in operations.values() for name in _refers(one)}
    return {
        "swagger": "2.0",
        "info": _INFO,
        "paths": {path: _path(paths[path], _swagger_operation, _swagger_parameter) for path in sorted(paths)},
        "definitions": _schemas(names, _customs(custom, _V2), _V2),
        "securityDefinitions": _BEARER,
        "security": [{"BearerToken": []}],
    }


def components(names: Iterable[str], custom: Mapping[str, Object] | None = None) -> dict[str, Object]:
    """The version 3 schemas of these definitions and of all they refer to, by full name."""
    return _schemas(names, custom or {}, _V3)


def _within(schema: Object, group_version: tuple[str, str]) -> Object:
    """A kind of every group, as a kind of this one."""
    told = schema.get("x-kubernetes-group-version-kind", ())
    kept = [gvk for gvk in told if (gvk["group"], gvk["version"]) in (("", "v1"), group_version)]
    return {**schema, "x-kubernetes-group-version-kind": kept}


def _refers(operation: Operation) -> list[str]:
    return [name for name in (operation.body, *(name for _, name in operation.answers)) if name]


def _schemas(names: Iterable[str], custom: Mapping[str, Object], prefix: str) -> dict[str, Object]:
    texts, values = descriptions(), enums()
    found: dict[str, Object] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        if name in custom:
            found[name] = custom[name]
            _rewritten(custom[name], waiting, prefix)
        else:
            found[name] = _schema(name, orjson.loads(texts[name]), values, waiting, prefix)
    return dict(sorted(found.items()))


def _schema(name: str, texts: dict[str, str], values: Values, waiting: list[str], prefix: str) -> Object:
    schema: Object = dict((prefix == _V3 and _EITHER.get(name)) or definition(name))
    schema.pop("x-go", None)
    if texts.get(""):
        schema["description"] = texts[""]
    if "properties" in schema:
        defaults = dict(defaults_of(name)) if prefix == _V3 else {}
        schema["properties"] = {
            field: _described(
                _rewritten(property_, waiting, prefix) | ({"default": defaults[field]} if field in defaults else {}),
                texts.get(field, ""),
                prefix,
            )
            for field, property_ in schema["properties"].items()
        }
        for field, taken in values.get(name.rpartition(".")[2], {}).items():
            schema["properties"][field] = with_values(schema["properties"][field], taken)
    return schema


def _rewritten(schema: Any, waiting: list[str], prefix: str) -> Any:
    """References as this version writes them; what they name waits for its turn."""
    if isinstance(schema, list):
        return [_rewritten(item, waiting, prefix) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        waiting.append(name)
        return {**schema, "$ref": f"{prefix}{name}"}
    return {word: _rewritten(value, waiting, prefix) for word, value in schema.items()}


def _described(schema: Object, text: str, prefix: str) -> Object:
    if prefix == _V3 and "$ref" in schema and (text or len(schema) > 1):
        others = {word: value for word, value in schema.items() if word != "$ref"}
        schema = {"allOf": [{"$ref": schema["$ref"]}], **others}
    return {**schema, "description": text} if text else schema


# ---- custom resources


def _customs(kinds: Iterable[Kind], prefix: str) -> dict[str, Object]:
    found: dict[str, Object] = {}
    for kind in kinds:
        found[definition_of(kind)] = _custom(kind, prefix)
        found[list_definition_of(kind)] = _custom_list(kind, prefix)
    return found


def _custom(kind: Kind, prefix: str) -> Object:
    published: Object = getattr(kind.schema, "published", {})
    told = _told(kind, kind.name)
    if not published or (prefix == _V2 and published.get("x-kubernetes-preserve-unknown-fields")):
        # Any property named here would make clients refuse all others.
        return {"type": "object", **told}
    schema = _simpler(published) if prefix == _V2 else _embedding(published, prefix)
    schema["properties"] = {
        **schema.get("properties", {}),
        **_type_meta(),
        "metadata": _reference("ObjectMeta", prefix),
    }
    return {**schema, **told}


def _told(kind: Kind, name: str) -> Object:
    """Of what kind of that name the objects are, and what they may be selected by."""
    of_kind = {"x-kubernetes-group-version-kind": [group_version_kind((kind.group, kind.version, name))]}
    if not kind.fields:
        return of_kind
    return {**of_kind, "x-kubernetes-selectable-fields": [{"fieldPath": path} for path in kind.fields]}


def _custom_list(kind: Kind, prefix: str) -> Object:
    return {
        "description": f"{kind.list_kind} is a list of {kind.name}",
        "type": "object",
        "required": ["items"],
        "properties": {
            **_type_meta(),
            "items": {
                "description": f"List of {kind.plural}.",
                "type": "array",
                "items": {"$ref": f"{prefix}{definition_of(kind)}"},
            },
            "metadata": _reference("ListMeta", prefix),
        },
        **_told(kind, kind.list_kind),
    }


@cache
def _type_meta() -> Object:
    """Shared by all who show it, and small; finding its texts means reading all of them."""
    texts = orjson.loads(descriptions()[f"{_META}DeleteOptions"])
    return {name: {"description": texts.get(name, ""), "type": "string"} for name in ("apiVersion", "kind")}


def _reference(name: str, prefix: str) -> Object:
    return _described({"$ref": f"{prefix}{_META}{name}"}, "Standard object's metadata.", prefix)


def _embedding(schema: Object, prefix: str) -> Object:
    """The schema with the fields every embedded object has."""
    found: Object = {}
    for word, value in schema.items():
        if word == "properties":
            found[word] = {name: _embedding(inner, prefix) for name, inner in value.items()}
        elif word in ("items", "additionalProperties") and isinstance(value, dict):
            found[word] = _embedding(value, prefix)
        else:
            found[word] = value
    is_open = prefix == _V2 and schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("x-kubernetes-embedded-resource") and not is_open:
        metadata = {"metadata": _reference("ObjectMeta", prefix)}
        found["properties"] = {**found.get("properties", {}), **_type_meta(), **metadata}
        found["required"] = list(dict.fromkeys([*schema.get("required", ()), "kind", "apiVersion"]))
    return found


def _simpler(schema: Object) -> Object:
    """The schema without what version 2 lacks or what kubectl's reader of it cannot take."""
    found = {
        word: value
        for word, value in schema.items()
        if word not in ("allOf", "anyOf", "oneOf", "not", "nullable", "properties", "items", "additionalProperties")
    }
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if schema.get("nullable") or (is_open and schema.get("type") in ("object", "array")):
        found.pop("type", None)
    if not schema.get("nullable") and not is_open:
        if "properties" in schema:
            found["properties"] = {name: _simpler(inner) for name, inner in schema["properties"].items()}
        if "items" in schema:
            found["items"] = _simpler(schema["items"])
    if found.get("type") == "array" and "items" not in found:
        del found["type"]
    more = schema.get("additionalProperties")
    if more is not None:
        found["additionalProperties"] = _simpler(more) if isinstance(more, dict) else more
    nullable = {name for name, inner in schema.get("properties", {}).items() if inner.get("nullable")}
    required = [name for name in schema.get("required", ()) if name not in nullable]
    found.pop("required", None)
    if required and not (isinstance(more, dict) and more.get("nullable")):
        found["required"] = required
    return _embedding(found, _V2) if schema.get("x-kubernetes-embedded-resource") else found


# ---- paths


def _path(
    operations: dict[str, Operation],
    show: Callable[[Operation, tuple[Parameter, ...]], Object],
    show_parameter: Callable[[Parameter], Object],
) -> Object:
    common = shared(operations)
    found: Object = {method: show(one, common) for method, one in operations.items()}
    if common:
        found["parameters"] = list(map(show_parameter, common))
    return found


def _operation(one: Operation, common: tuple[Parameter, ...]) -> Object:
    found: Object = {"tags": [one.tag], "description": one.text, "operationId": one.id}
    if own := [_parameter(p) for p in sorted(one.parameters, key=lambda p: p.name) if p not in common]:
        found["parameters"] = own
    if one.body:
        found["requestBody"] = {"content": _content(one.takes, one.body)}
        if one.requires_body:
            found["requestBody"]["required"] = True
    found["responses"] = {
        str(code): {"description": _CODES[code]} | ({} if name is None else {"content": _content(one.gives, name)})
        for code, name in one.answers
    }
    return found | _extensions(one)


def _content(types: Iterable[str], name: str) -> Object:
    schema = {"$ref": f"{_V3}{name}"} if name else {"type": "string"}
    return {type_: {"schema": schema} for type_ in types}


def _parameter(one: Parameter) -> Object:
    schema = {"type": one.type, "uniqueItems": True}
    found = {"name": one.name, "in": one.place, "description": one.text, "schema": schema}
    return {**found, "required": True} if one.place == "path" else found


def _swagger_operation(one: Operation, common: tuple[Parameter, ...]) -> Object:
    parameters: list[Object] = []
    if one.body:
        body: Object = {"in": "body", "name": "body", "schema": {"$ref": f"{_V2}{one.body}"}}
        parameters.append({**body, "required": True} if one.requires_body else body)
    parameters += [_swagger_parameter(p) for p in sorted(one.parameters, key=lambda p: p.name) if p not in common]
    found: Object = {
        "description": one.text,
        "consumes": list(one.takes),
        "produces": list(one.gives),
        "schemes": ["https"],
        "tags": [one.tag],
        "operationId": one.id,
        "responses": {str(code): {"description": _CODES[code]} | _swagger_body(name) for code, name in one.answers},
    }
    if parameters:
        found["parameters"] = parameters
    return found | _extensions(one)


def _swagger_body(name: str | None) -> Object:
    if name is None:
        return {}
    return {"schema": {"$ref": f"{_V2}{name}"} if name else {"type": "string"}}


def _swagger_parameter(one: Parameter) -> Object:
    found: Object = {"name": one.name, "in": one.place, "description": one.text, "type": one.type, "uniqueItems": True}
    return {**found, "required": True} if one.place == "path" else found


def _extensions(one: Operation) -> Object:
    found: Object = {"x-kubernetes-action": one.action} if one.action else {}
    if one.gvk is not None:
        found["x-kubernetes-group-version-kind"] = group_version_kind(one.gvk)
    return found
