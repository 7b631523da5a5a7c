"""Other servers' OpenAPI documents (version 2) made part of one: of each its group and version, and what that needs.

A definition that has another's name and says something else gets a name of its own; a parameter that a document says
once for all is said where it is meant. Documents of others are not trusted to be documents.
Source: kube-openapi pkg/aggregator, kube-aggregator pkg/controllers/openapi/aggregator.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping
from typing import Any

from pylet.api.object import Object

_DEFINITIONS, _PARAMETERS = "#/definitions/", "#/parameters/"
_GVK = "x-kubernetes-group-version-kind"
_NEEDED = {
    "description": "",
    "operationId": "",
    "tags": [],
    "produces": [],
    "consumes": [],
    "schemes": [],
    "responses": {},
}
"""Of an operation, in our own documents always there."""


def part(document: Object, prefix: str, known: Container[str] = ()) -> Object:
    """Paths below `prefix` that are not known, and what definitions they or no paths need.

    Noise raises what it comes to.
    """
    shared = document.get("parameters") or {}
    paths = {
        path: _path(_replaced(item, {}, shared))
        for path, item in document["paths"].items()
        if path.startswith(prefix) and path not in known
    }
    definitions = document.get("definitions") or {}
    needed, others = _needed(paths, definitions), _needed(document["paths"], definitions)
    kept = [name for name in sorted(definitions) if name in needed or name not in others]
    return {"paths": paths, "definitions": {name: definitions[name] for name in kept}}


def _needed(paths: Object, definitions: Object) -> set[str]:
    found, waiting = set[str](), [*_references(paths)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += _references(definitions[name])
    return found


def merge(into: Object, more: Object) -> None:
    """`more` is such a part."""
    names, own = {}, into["definitions"]
    for name, schema in more["definitions"].items():
        new, number = name, 1
        while new in own and not _is_same(own[new], schema):
            number += 1
            new = f"{name}_v{number}"
        names[name] = new
    for name, schema in more["definitions"].items():
        added = _replaced(schema, names, {})
        before = own.setdefault(names[name], added)
        if before is not added and _GVK in added:
            kinds = before.get(_GVK, [])
            own[names[name]] = before | {_GVK: [*kinds, *(kind for kind in added[_GVK] if kind not in kinds)]}
    into["paths"] |= _replaced(more["paths"], names, {})


def _path(item: Object) -> Object:
    return {
        name: _meant(one)
        if name == "parameters"
        else {**_NEEDED, **one, "parameters": _meant(one.get("parameters", ()))}
        for name, one in item.items()
    }


def _meant(parameters: Iterable[Object]) -> list[Object]:
    """Without those that say nothing, as kube-apiserver's documents have them of custom resources."""
    return [one for one in parameters if "name" in one and "in" in one]


def _is_same(one: Object, other: Object) -> bool:
    return {**one, _GVK: None} == {**other, _GVK: None}


def _references(value: Any) -> Iterator[str]:
    match value:
        case {"$ref": str(to)} if to.startswith(_DEFINITIONS):
            yield to.removeprefix(_DEFINITIONS)
        case dict():
            for inner in value.values():
                yield from _references(inner)
        case list():
            for inner in value:
                yield from _references(inner)


def _replaced(value: Any, names: Mapping[str, str], parameters: Mapping[str, Object]) -> Any:
    """With definitions by their new names, and what parameters refer to in their place."""
    match value:
        case {"$ref": str(to)} if to.startswith(_DEFINITIONS):
            name = to.removeprefix(_DEFINITIONS)
            return value | {"$ref": _DEFINITIONS + names.get(name, name)}
        case {"$ref": str(to)} if to.startswith(_PARAMETERS) and parameters:
            return parameters[to.removeprefix(_PARAMETERS)]
        case dict():
            return {name: _replaced(inner, names, parameters) for name, inner in value.items()}
        case list():
            return [_replaced(inner, names, parameters) for inner in value]
    return value
