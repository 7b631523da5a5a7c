"""What field ownership must know of a schema: which values are whole, which have fields, which lists have keys.

A Shape is made of the compiled schema (`of`) or of a custom resource's (`of_structural`), its children when they are
first asked for. Source: kube-openapi pkg/schemaconv (smd.go, proto_models.go, openapi.go).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum, auto
from functools import cache
from typing import Any, Final, Protocol

from pylet.api import schema
from pylet.api.object import Object
from pylet.api.patch.fieldset import Set
from pylet.api.schema.node import Any_, Integer, List, Map, Node, Number, Ref, Scalar, Struct
from pylet.api.schema.published_defaults import defaults_of

_NOTHING: Final[Mapping[str, Any]] = {}


class Structural(Protocol):
    """What is asked of a custom resource's schema: `pylet.api.crd.structural`."""

    type: str
    int_or_string: bool
    preserves: bool
    embedded: bool
    list_type: str
    map_type: str
    map_keys: tuple[str, ...]
    allows_all: bool
    default: Any
    checks: Object

    @property
    def properties(self) -> Mapping[str, Any]: ...

    @property
    def additional(self) -> Any: ...

    @property
    def item(self) -> Any: ...


class Form(Enum):
    """How values of a Shape are owned."""

    LEAF = auto()
    """As a whole: a scalar, an atomic list or map, anything untyped."""
    FIELDS = auto()
    """Field by field, or entry by entry."""
    SET = auto()
    """A list, item by item; items are scalars."""
    KEYED = auto()
    """A list, item by item; some of an item's fields tell which it is."""
    DEDUCED = auto()
    """By what the value is: a map entry by entry, the rest as a whole."""


class Shape:
    """`takes` is the JSON type of values: str, bool, float for numbers, list, dict; None for any.

    `always` are the fields Go prints even of an empty object, and how. `defaults` are for a list's missing keys. `item`
    is the shape of a list's items and of fields that are not declared; None refuses such fields. `every` is what all
    fields have where none is declared. `flat` remembers the Sets of objects whose fields are all owned as wholes, by
    the fields' names, and `known` the declared fields that were asked for.
    """

    __slots__ = ("_load", "always", "defaults", "every", "flat", "form", "item", "keys", "known", "takes")

    def __init__(
        self,
        form: Form,
        takes: type | None = None,
        *,
        item: Shape | None = None,
        keys: tuple[str, ...] = (),
        defaults: Mapping[str, Any] = _NOTHING,
        always: Mapping[str, Any] = _NOTHING,
        load: Callable[[str], Shape | None] | None = None,
    ) -> None:
        self.form = form
        self.takes = takes
        self.item = item
        self.keys = keys
        self.defaults = defaults
        self.always = always
        self._load = load
        self.every = item if load is None else None
        self.known: dict[str, Shape] = {}
        self.flat: dict[tuple[str, ...], Set] = {}

    def declared(self, name: str) -> Shape | None:
        """The shape of a field the schema declares; None for another."""
        if self._load is None:
            return None
        try:
            return self.known[name]
        except KeyError:
            found = self._load(name)
            if found is not None:
                self.known[name] = found
            return found

    def child(self, name: str) -> Shape | None:
        return self.known.get(name) or self.declared(name) or self.item


UNTYPED: Final = Shape(Form.LEAF)
DEDUCED: Final = Shape(Form.DEDUCED)
DEDUCED.item = DEDUCED
_OF_TYPE: Final = {name: Shape(Form.LEAF, type_) for name, type_ in (("string", str), ("boolean", bool))}
_OF_TYPE["integer"] = _OF_TYPE["number"] = Shape(Form.LEAF, float)
_ATOMIC_LIST: Final = Shape(Form.LEAF, list)
_ATOMIC_MAP: Final = Shape(Form.LEAF, dict)


@cache
def of(definition: str) -> Shape:
    """The shape of objects of the definition with that full name. Raises: KeyError."""
    struct = schema.of(definition)
    return Shape(Form.FIELDS, dict, always=dict(struct.always), load=_loader(struct))


def _loader(struct: Struct) -> Callable[[str], Shape | None]:
    def load(name: str) -> Shape | None:
        node = struct.child(name)
        return None if node is None else _of_node(node)

    return load


def _of_node(node: Node) -> Shape:
    match node:
        case Ref():
            word = node.map_type or schema.definition(node.definition).get("x-kubernetes-map-type")
            return _ATOMIC_MAP if word == "atomic" else of(node.definition)
        case List():
            return _of_list(node)
        case Map():
            if node.map_type == "atomic":
                return _ATOMIC_MAP
            return Shape(Form.FIELDS, dict, item=_of_node(node.items) if node.items is not None else UNTYPED)
        case Scalar():
            return _OF_TYPE["string" if node.type is str else "boolean"]
        case Integer() | Number():
            return _OF_TYPE["number"]
        case Any_():
            return UNTYPED if node.go_type == "runtime.RawExtension" else DEDUCED
    return UNTYPED  # a quantity, a time, an int-or-string, bytes


def _of_list(node: List) -> Shape:
    keys: tuple[str, ...] | None = None
    if node.list_type:
        keys = None if node.list_type == "atomic" else node.map_keys if node.list_type == "map" else ()
    elif "merge" in node.patch_strategy:
        keys = (node.merge_key,) if node.merge_key else ()
    inner = node.items
    if keys is None or inner is None:
        return _ATOMIC_LIST
    item = _of_node(inner)
    if not keys:
        return Shape(Form.SET, list, item=item)
    known = dict(defaults_of(inner.definition)) if isinstance(inner, Ref) else {}
    defaults = {key: known[key] for key in keys if key in known}
    return Shape(Form.KEYED, list, item=item, keys=keys, defaults=defaults)


# ---- custom resources


def of_structural(schema: Structural, *, preserves: bool = False) -> Shape:
    """The shape of a custom resource's node; `preserves`: an object above keeps unknown fields."""
    preserves = preserves or schema.preserves
    match schema.type:
        case "string" if schema.checks.get("format", "") not in ("", "byte"):
            return UNTYPED
        case "string" | "boolean" | "integer" | "number":
            return _OF_TYPE[schema.type]
        case "array":
            return _of_structural_list(schema, preserves=preserves)
        case "object":
            return _of_structural_object(schema, preserves=preserves)
    return UNTYPED if schema.int_or_string else DEDUCED


def _of_structural_object(schema: Structural, *, preserves: bool) -> Shape:
    if schema.map_type == "atomic":
        return _ATOMIC_MAP

    def load(name: str) -> Shape | None:
        if schema.embedded and name in _OF_RESOURCE:
            return _OF_RESOURCE[name] or of(_OBJECT_META)
        inner = schema.properties.get(name)
        return None if inner is None else of_structural(inner, preserves=preserves)

    item: Shape | None = None
    if schema.additional is not None:
        item = of_structural(schema.additional, preserves=preserves)
    elif preserves or schema.allows_all or not (schema.properties or schema.embedded):
        item = DEDUCED
    return Shape(Form.FIELDS, dict, item=item, load=load)


def _of_structural_list(schema: Structural, *, preserves: bool) -> Shape:
    inner = schema.item
    if inner is None or schema.list_type not in ("set", "map"):
        return _ATOMIC_LIST
    item = of_structural(inner, preserves=preserves)
    if schema.list_type == "set":
        return Shape(Form.SET, list, item=item)
    defaults = {
        key: inner.properties[key].default
        for key in schema.map_keys
        if key in inner.properties and isinstance(inner.properties[key].default, str | int | float)
    }
    return Shape(Form.KEYED, list, item=item, keys=schema.map_keys, defaults=defaults)


_OBJECT_META: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_OF_RESOURCE: Final = {"apiVersion": _OF_TYPE["string"], "kind": _OF_TYPE["string"], "metadata": None}
