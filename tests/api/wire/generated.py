"""Objects of any published definition, drawn by hypothesis: every field may be there, with any value of its type."""

from __future__ import annotations

import base64
from typing import Any

from hypothesis import strategies as st

from pylet.api import schema
from pylet.api.object import Object

_DEEPEST = 5
_TEXT = st.text(max_size=4)
_BY_NAME = {
    "Quantity": st.sampled_from(["0", "1", "100m", "1Gi", "1500m"]),
    "IntOrString": st.one_of(st.integers(0, 65535), st.sampled_from(["50%", "web"])),
    "Time": st.just("2026-01-02T03:04:05Z"),
    "MicroTime": st.just("2026-01-02T03:04:05.000678Z"),
    "CustomResourceSubresourceStatus": st.just({}),
    "JSONSchemaPropsOrBool": st.booleans(),
    "JSONSchemaPropsOrStringArray": st.lists(_TEXT, min_size=1, max_size=2),
    "JSONSchemaPropsOrArray": st.just({"type": "object"}),
}
_ANYTHING = st.sampled_from([{"a": [1, None, "x"]}, {"b": {}}])


@st.composite
def objects(draw: st.DrawFn, definition: str, depth: int = 0) -> Object:
    published = schema.definition(definition)
    properties = published.get("properties", {})
    # A few fields of each message are enough: many examples see them all.
    is_kind = "x-kubernetes-group-version-kind" in published  # protobuf leaves out which, inside of others
    names = [name for name in properties if name not in ("kind", "apiVersion") or not is_kind]
    chosen = draw(st.lists(st.sampled_from(names), unique=True, max_size=4)) if names else []
    found = {name: draw(_value(properties[name], depth + 1)) for name in chosen}
    return {name: value for name, value in found.items() if value is not None}


def _value(spec: Object, depth: int) -> st.SearchStrategy[Any]:
    if reference := spec.get("$ref", "").removeprefix("#/definitions/"):
        known = _BY_NAME.get(reference.rpartition(".")[2])
        if known is not None:
            return known
        if "properties" not in schema.definition(reference):
            return _ANYTHING
        return objects(reference, depth) if depth < _DEEPEST else st.none()
    match spec.get("type"), spec.get("format"):
        case "string", "byte":
            return st.binary(max_size=4).map(lambda raw: base64.b64encode(raw).decode())
        case "string", "date-time":
            return _BY_NAME["Time"]
        case "string", _:
            return _TEXT
        case "boolean", _:
            return st.booleans()
        case "integer", "int32":
            return st.integers(-(1 << 31), (1 << 31) - 1)
        case "integer", _:
            return st.integers(-(1 << 63), (1 << 63) - 1)
        case "number", _:
            return st.floats(allow_nan=False, allow_infinity=False)
        case "array", _:
            return _many(_value(spec["items"], depth), st.lists)
        case "object", _ if "additionalProperties" in spec:
            inner = _value(spec["additionalProperties"], depth)
            return _many(inner, lambda value, **sizes: st.dictionaries(_TEXT, value, **sizes))
    return _ANYTHING


def _many(inner: st.SearchStrategy[Any], collect: Any) -> st.SearchStrategy[Any]:
    """One or two; none at all when they would lie too deep."""
    return collect(inner, min_size=1, max_size=2).map(lambda found: None if None in _items(found) else found)


def _items(found: Any) -> list[Any]:
    return list(found.values()) if isinstance(found, dict) else found
