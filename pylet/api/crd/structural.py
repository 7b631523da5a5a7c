"""A structural schema, compiled: what pruning, defaulting, validation and patches walk.

Compiled from one version's openAPIV3Schema on first use; what only people read (descriptions, examples) is left out.
A Structural is a `schema.node.Node`, so that patches see custom resources as they see built-in ones.
Source: apiextensions-apiserver pkg/apiserver/schema/{structural,convert}.go.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pylet.api.object import Object
from pylet.api.schema.node import Node

UNSET: Final = object()
_CHECKS = (
    "allOf", "anyOf", "enum", "exclusiveMaximum", "exclusiveMinimum", "format", "maxItems", "maxLength",
    "maxProperties", "maximum", "minItems", "minLength", "minProperties", "minimum", "multipleOf", "not", "oneOf",
    "pattern", "required", "uniqueItems",
)  # fmt: skip
_NO_PROPERTIES: Mapping[str, Structural] = {}


class Structural(Node):
    """One node. `additional` is the schema of a map's values; `allows_all` where additionalProperties is true.

    `checks` are the value validations as they are written, `logic` those that nest schemas, compiled.
    """

    __slots__ = (
        "additional",
        "allows_all",
        "checks",
        "default",
        "embedded",
        "int_or_string",
        "item",
        "logic",
        "nullable",
        "preserves",
        "properties",
        "type",
        "validates",
    )

    def __init__(self, schema: Object) -> None:
        word = schema.get
        super().__init__()
        self.type: str = word("type") or ""
        self.nullable: bool = bool(word("nullable"))
        self.int_or_string: bool = bool(word("x-kubernetes-int-or-string"))
        self.preserves: bool = bool(word("x-kubernetes-preserve-unknown-fields"))
        self.embedded: bool = bool(word("x-kubernetes-embedded-resource"))
        self.default: Any = UNSET if word("default") is None else word("default")
        self.list_type = word("x-kubernetes-list-type") or ""
        self.map_type = word("x-kubernetes-map-type") or ""
        self.map_keys = tuple(word("x-kubernetes-list-map-keys") or ())
        properties = word("properties")
        self.properties = (
            {name: Structural(inner) for name, inner in properties.items()} if properties else _NO_PROPERTIES
        )
        more = word("additionalProperties")
        self.additional: Structural | None = Structural(more) if isinstance(more, dict) else None
        self.allows_all: bool = more is True
        items = word("items")
        self.item: Structural | None = Structural(items) if isinstance(items, dict) else None
        self.checks = {name: schema[name] for name in _CHECKS if name in schema}
        self.logic = {
            name: [Structural(inner) for inner in self.checks.pop(name)]
            for name in ("allOf", "anyOf", "oneOf")
            if self.checks.get(name)
        }
        if isinstance(self.checks.get("not"), dict):
            self.logic["not"] = [Structural(self.checks.pop("not"))]

    @property
    def items(self) -> Node | None:
        return self.item if self.item is not None else self.additional

    def child(self, name: str) -> Node | None:
        found = self.properties.get(name)
        if found is not None:
            return found
        if self.additional is not None:
            return self.additional
        if name == "metadata" and self.embedded:
            return _meta()
        return Node() if self.preserves or self.allows_all else None

    def of(self, name: str) -> Structural | None:
        """The schema of a field, declared or additional."""
        return self.properties.get(name) or self.additional


def _meta() -> Node | None:
    from pylet.api.schema import of

    return of("io.k8s.api.core.v1.ConfigMap").child("metadata")


def as_root(schema: Object | None) -> Structural:
    """The compiled schema of a whole object: its metadata is the API's own."""
    root = Structural(schema or {})
    root.embedded = True
    return root
