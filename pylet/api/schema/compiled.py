"""Published definitions become Structs and Nodes: each on its first use, once.

What OpenAPI leaves out, and Go's types tell, comes as `x-go` with each definition (go_types.txt explains the marks).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from pylet.api.object import Object
from pylet.api.quantity import canonical as canonical_quantity
from pylet.api.schema.definitions import definition
from pylet.api.schema.node import (
    Any_,
    Bytes,
    Check,
    Either,
    Integer,
    IntOrString,
    List,
    Map,
    Node,
    Number,
    Ref,
    Scalar,
    Struct,
    Text,
    go_type_of,
)
from pylet.api.timestamps import canonical as canonical_time
from pylet.api.timestamps import canonical_micro

_JSON_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"
_OWN_JSON: dict[str, Callable[[], Node]] = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": lambda: Text("resource.Quantity", canonical_quantity),
    "io.k8s.apimachinery.pkg.apis.meta.v1.Time": lambda: Text("v1.Time", canonical_time),
    "io.k8s.apimachinery.pkg.apis.meta.v1.MicroTime": lambda: Text("v1.MicroTime", canonical_micro),
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": lambda: IntOrString("intstr.IntOrString"),
    f"{_JSON_SCHEMA}OrArray": lambda: _schema_or("Array"),
    f"{_JSON_SCHEMA}OrBool": lambda: _schema_or("Bool"),
    f"{_JSON_SCHEMA}OrStringArray": lambda: _schema_or("StringArray"),
}
_EMBEDDED: dict[str, dict[str, str]] = {
    "ConfigMapEnvSource": {"LocalObjectReference": "name"},
    "ConfigMapKeySelector": {"LocalObjectReference": "name"},
    "ConfigMapProjection": {"LocalObjectReference": "name"},
    "ConfigMapVolumeSource": {"LocalObjectReference": "name"},
    "DeviceAllocationConfiguration": {"DeviceConfiguration": "opaque"},
    "DeviceClaimConfiguration": {"DeviceConfiguration": "opaque"},
    "DeviceClassConfiguration": {"DeviceConfiguration": "opaque"},
    "EphemeralContainer": {"EphemeralContainerCommon": "! targetContainerName"},
    "IngressRule": {"IngressRuleValue": "http"},
    "NamedRuleWithOperations": {
        "RuleWithOperations": "operations",
        "RuleWithOperations.Rule": "apiGroups apiVersions resources scope",
    },
    "PersistentVolumeSpec": {
        "PersistentVolumeSource": "! accessModes capacity claimRef mountOptions nodeAffinity "
        "persistentVolumeReclaimPolicy storageClassName volumeAttributesClassName volumeMode"
    },
    "Probe": {"ProbeHandler": "exec grpc httpGet tcpSocket"},
    "RuleWithOperations": {"Rule": "apiGroups apiVersions resources scope"},
    "SecretEnvSource": {"LocalObjectReference": "name"},
    "SecretKeySelector": {"LocalObjectReference": "name"},
    "SecretProjection": {"LocalObjectReference": "name"},
    "Volume": {"VolumeSource": "! name"},
}
"""Go structs within a struct, which JSON does not show, and their fields; after `!`, the fields that are not theirs."""
_EMPTY_IS_TOLD = ("managedFields", "policies")
"""Lists that mean something when they are empty: nobody owns anything; of an autoscaler, no defaults and an error."""
_ZEROS: dict[type[Node], Any] = {List: None, Map: None, Any_: None, Bytes: None, Number: 0, Integer: 0, IntOrString: 0}


@cache
def of(name: str) -> Struct:
    """The compiled definition of that full name, kept for ever. Raises: KeyError."""
    return compile_definition(name)


def compile_definition(name: str) -> Struct:
    """Raises: KeyError."""
    schema = definition(name)
    struct = Struct(name)
    required = set(schema.get("required", ()))
    marks = dict(_marks(schema.get("x-go", "")))
    keeps, always = [], []
    for field, property_ in schema.get("properties", {}).items():
        default_mark = "{" if field in ("metadata", "spec", "status") and "$ref" in property_ else ""
        mark, go_type = marks.get(field, (default_mark, ""))
        printed = mark in ("!", "*!", "{") or (mark == "" and field in required)
        keeps_zero = printed or mark == "*" or field in _EMPTY_IS_TOLD
        # Upstream's store gives an empty list back as none, unless a pointer or the field itself tells them apart.
        is_told = mark == "*" or field in _EMPTY_IS_TOLD or property_.get("type") != "array"
        node = _compile(property_, go_type, keeps_zero=keeps_zero and is_told)
        _annotate(node, property_)
        is_reference = not isinstance(node, Scalar | Integer | Number | List | Map | Bytes)
        if printed and (not is_reference or mark != ""):
            always.append((field, None if mark == "*!" else _zero(node)))
        if keeps_zero:
            keeps.append(field)
        struct.fields[field] = node.type if isinstance(node, Scalar) and node.go_type in ("string", "bool") else node
    for inner, words in _EMBEDDED.get(struct.go_name, {}).items():
        known = set(words.split())
        struct.embedded |= {field: inner for field in struct.fields if (field in known) is not ("!" in known)}
    struct.keeps_zero = frozenset(keeps)
    struct.always = tuple(always)
    return struct


def _marks(encoding: str) -> list[tuple[str, tuple[str, str]]]:
    """What go_types.txt says of each field: its mark and its Go type."""
    found = []
    for entry in encoding.split():
        marked, _, go_type = entry.partition(":")
        field = marked.rstrip("*!{?&0")
        found.append((field, (marked[len(field) :], go_type)))
    return found


def _compile(schema: Object, go_type: str, *, keeps_zero: bool) -> Node:
    reference = schema.get("$ref", "").removeprefix("#/definitions/")
    if reference:
        if reference in _OWN_JSON:
            return _OWN_JSON[reference]()
        return Ref(reference, of) if "properties" in definition(reference) else Any_(go_type_of(reference))
    match schema.get("type"), schema.get("format"):
        case "string", "byte":
            return Bytes("[]uint8", keeps_zero=keeps_zero)
        case "string", "date-time":
            return Text("v1.Time", canonical_time)
        case "string", _:
            return Scalar(str, go_type or "string", keeps_zero=keeps_zero)
        case "boolean", _:
            return Scalar(bool, go_type or "bool", keeps_zero=keeps_zero)
        case "integer", width:
            return Integer(go_type or width or "int64", keeps_zero=keeps_zero)
        case "number", _:
            return Number("float64", keeps_zero=keeps_zero)
        case "array", _:
            return List(_item(schema["items"]), go_type, keeps_zero=keeps_zero)
        case "object", _ if "additionalProperties" in schema:
            return Map(_item(schema["additionalProperties"]), keeps_zero=keeps_zero)
    return Any_()


def _schema_or(other: str) -> Node:
    schema = Ref(_JSON_SCHEMA, of)
    shapes: dict[type, Node] = {dict: schema}
    if other == "Array":
        shapes[list] = List(schema, keeps_zero=True)
    return Either(f"v1.JSONSchemaPropsOr{other}", shapes)


def _item(schema: Object) -> Check:
    node = _compile(schema, "", keeps_zero=True)
    return node.type if isinstance(node, Scalar) else node


def _annotate(node: Node, schema: Object) -> None:
    word = schema.get
    node.merge_key = word("x-kubernetes-patch-merge-key", "")
    node.patch_strategy = tuple(filter(None, word("x-kubernetes-patch-strategy", "").split(",")))
    node.list_type = word("x-kubernetes-list-type", "")
    node.map_keys = tuple(word("x-kubernetes-list-map-keys", ()))
    node.map_type = word("x-kubernetes-map-type", "")
    if isinstance(node, Ref) and not node.map_type:
        node.map_type = definition(node.definition).get("x-kubernetes-map-type", "")


def _zero(node: Node) -> Any:
    if isinstance(node, Ref):
        return {}
    if isinstance(node, Scalar):
        return node.type()
    if isinstance(node, Text):
        return "0" if node.go_type == "resource.Quantity" else None
    return _ZEROS[type(node)]
