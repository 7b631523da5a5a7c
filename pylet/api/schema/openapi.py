"""The schemas of OpenAPI v3 documents, made of the published definitions and their descriptions on demand.

Source: api/openapi-spec/v3, and kube-openapi pkg/builder3 for how a field that is another definition is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from pylet.api.object import Object
from pylet.api.schema.definitions import definition, descriptions

_EITHER: dict[str, Object] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": {
        "format": "int-or-string",
        "oneOf": [{"type": "integer"}, {"type": "string"}],
    },
}
"""What version 2 of OpenAPI has no words for."""


def components(names: Iterable[str]) -> dict[str, Object]:
    """The schemas of these definitions and of all they refer to, by full name."""
    texts = descriptions()
    found: dict[str, Object] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _schema(name, orjson.loads(texts[name]), waiting)
    return dict(sorted(found.items()))


def _schema(name: str, texts: dict[str, str], waiting: list[str]) -> Object:
    schema: Object = dict(_EITHER.get(name) or definition(name))
    schema.pop("x-go", None)
    if texts.get(""):
        schema["description"] = texts[""]
    if "properties" in schema:
        schema["properties"] = {
            field: _described(_rewritten(property_, waiting), texts.get(field, ""))
            for field, property_ in schema["properties"].items()
        }
    return schema


def _rewritten(schema: Any, waiting: list[str]) -> Any:
    """References as v3 writes them; what they name waits for its turn."""
    if isinstance(schema, list):
        return [_rewritten(item, waiting) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.removeprefix("#/definitions/")
        waiting.append(name)
        return {**schema, "$ref": f"#/components/schemas/{name}"}
    return {word: _rewritten(value, waiting) for word, value in schema.items()}


def _described(schema: Object, text: str) -> Object:
    if "$ref" in schema and (text or len(schema) > 1):
        others = {word: value for word, value in schema.items() if word != "$ref"}
        schema = {"allOf": [{"$ref": schema["$ref"]}], **others}
    return {**schema, "description": text} if text else schema
